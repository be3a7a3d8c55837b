"""Print the headline numbers of the published marts, for people."""

import os
import sys
from pathlib import Path

import duckdb

from common import rounded


def main():
    published = Path(os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb"))
    if not published.exists():
        print(f"headlines: there is no {published}; `make demo` or `make build` makes it", file=sys.stderr)
        return 2
    with duckdb.connect(str(published), read_only=True) as marts:
        today = marts.execute("from marts.lifecycle_metrics order by metric_date desc limit 1").fetchone()
        if today is None:
            print("There is nobody in the data yet.")
            return 0
        names = [column[0] for column in marts.description]
        day = dict(zip(names, today, strict=True))
        print(
            f"\nAs of {day['metric_date']}: {day['users']:,} users, {day['active_users']:,} of them active"
        )
        for label, part, whole, rate in (
            ("customers", "customers", "users", "user_activation_rate"),
            ("repeat customers", "repeat_customers", "customers", "repeat_customer_rate"),
            ("loyal customers", "loyal_customers", "repeat customers", "loyal_customer_rate"),
        ):
            share = "" if day[rate] is None else f"  {day[rate]:6.1%} of {whole}"
            print(f"  {label:<18}{day[part]:>9,}{share}")

        print("\nStage                 people    net revenue")
        for label, people, revenue in marts.execute(
            "select label, people, net_revenue from marts.stage_summary order by position"
        ).fetchall():
            print(f"  {label:<16}{people:>10,}{rounded(revenue, 2):>15}")

        print("\nAudience                   people  reachable  held out   to send   (on any channel of the audience)")
        for audience, *counts in marts.execute(
            "select audience, people, reachable, held_out, to_send from marts.audience_summary order by audience"
        ).fetchall():
            print(f"  {audience:<22}" + "".join(f"{count:>10,}" for count in counts))
    print(f"\nMarts to query: {published}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
