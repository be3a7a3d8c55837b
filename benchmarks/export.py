"""How much the checks and the ledger cost: a whole export run against one DuckDB COPY of the same rows with the same hashes.

Prints, for 1 M people x 12 columns with two SHA-256 columns: the ratio of the two commands' CPU and the run's peak memory, of the
first run, which puts all of them into the ledger, and of later ones; and for 5 M people: the ratio of a delta run against one
COPY of those 5 M rows; and how large the ledger is. Both sides are whole processes in the same benchmark run, the best of
several; the exporter reads its files back, hashes and fsyncs them, COPY does not.
`python benchmarks/export.py [--people 1000000] [--delta-people 5000000]`. Exit code 1 when a bound (2.2, 1 GB, 3.0) is missed.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import duckdb
import yaml

from measuring import ROOT, spent

SCRIPT = ROOT / "scripts" / "export_audiences.py"
FIELDS = [
    "first_name",
    "last_name",
    "country",
    "language",
    "stage",
    "rfm_segment",
    "orders_count",
    "last_order_date",
    "net_revenue",
    "recency_days",
]
# The very same file by hand: the exporter's normalised hashes, the consent and the suppression list as joins.
COPY = """
import duckdb, sys
sys.path.insert(0, sys.argv[3])
from audience_export.rows import normalised
con = duckdb.connect()
con.execute(f"attach '{sys.argv[1]}' as source (read_only); use source")
count = con.execute(f'''copy (
    with person as (select *, {normalised("email", "email")} as e, phone_e164 as p from marts.customers),
    hashed as (select *, sha256(e) as email_sha256, sha256(p) as phone_sha256 from person),
    listed as (select * from marts.suppression_list where channel = 'ads')
    select email_sha256, phone_sha256, COLUMNS
    from hashed join marts.audience_members m using (person_id)
    join marts.customer_channels ch on ch.person_id = hashed.person_id and ch.channel = 'ads'
    where m.audience = 'everyone' and not m.is_holdout and ch.can_contact and ch.consent_status = 'opted_in'
        and e not in (select address from listed where address_type = 'email' and address is not null)
        and p not in (select address from listed where address_type = 'phone' and address is not null)
    ) to '{sys.argv[2]}' (header)''').fetchone()[0]
print(count)
""".replace("COLUMNS", ", ".join(f"hashed.{field}" for field in FIELDS))


def build(path, people):
    """A published database of so many people, one audience, 2 % held out, 3 % without consent, some suppressed."""
    sys.path.insert(0, str(ROOT / "tests" / "export"))
    import published  # noqa: PLC0415

    published.build(path, [])
    with duckdb.connect(str(path)) as con:
        con.execute(f"""use marts;
            insert into customers by name select md5(i::varchar) as person_id, 'C' || i as primary_customer_id,
                'person' || i || '@example' || i % 50 || '.com' as email, '+4915' || lpad(i::varchar, 9, '0') as phone, phone as phone_e164,
                'U' || i as app_user_id, ['Ann', 'José', 'Marie-Claire', '정', 'Ömer'][i % 5 + 1] || i % 997 as first_name,
                ['O''Neil', 'Müller', 'de la Cruz', 'Smith, Jr.'][i % 4 + 1] || i % 4999 as last_name, 'DE' as country,
                'BE' as region, 'Berlin' as city, 'de' as language, 'Europe/Berlin' as time_zone,
                ['champions', 'hibernating', 'promising'][i % 3 + 1] as rfm_segment, i % 700 as recency_days,
                ['new', 'loyal', 'at_risk', 'lapsed'][i % 4 + 1] as stage, i % 40 as orders_count,
                date '2024-01-01' + (i % 700)::int as last_order_date, i % 100003 / 7 as net_revenue,
                true as can_email, true as can_sms, true as can_push, i % 100 >= 3 as can_ads
            from range({people}) t(i);
            insert into customer_channels by name select person_id, channel, ok as can_contact, if(ok, 'opted_in', 'opted_out') as consent_status,
                if(ok, timestamp '2026-01-02 03:04:05', null) as consented_at, if(ok, null, 'no_consent') as blocked_reason,
                if(ok, null, 'opted_out') as own_no_reason
                from (select person_id, unnest(['email', 'sms', 'push', 'ads']) as channel,
                      unnest([can_email, can_sms, can_push, can_ads]) as ok from customers);
            insert into audience_members by name select 'everyone' as audience, person_id, date '2026-11-01' as entered_on,
                orders_count = 39 as is_holdout, can_email, can_sms, can_push, can_ads from customers;
            insert into suppression_list select 'ads', 'email', if(i % 5 = 0, null, email), if(i % 5 = 0, sha256(email), null),
                if(i % 5 = 0, 'erased', 'unsubscribed'), timestamp '2026-03-04'
                from (select email, row_number() over () as i from customers using sample {people // 40} rows);
            insert into suppression_list select 'ads', 'phone', phone, null, 'opted_out', timestamp '2026-03-04'
                from (select phone from customers using sample {people // 100} rows);
            create temp table refused as select person_id from customers where coalesce(email, '') in (select address from suppression_list
                where address_type = 'email' and address is not null) or phone in (select address from suppression_list where address_type = 'phone');
            update customers set can_ads = false where person_id in (from refused);
            update audience_members set can_ads = false where person_id in (from refused);
            update customer_channels set can_contact = false, consent_status = 'opted_out', blocked_reason = 'no_consent', consented_at = null
                where channel = 'ads' and person_id in (from refused)""")


def measure(command, folder):
    """(wall seconds, peak MB, printed lines, CPU seconds) of one command."""
    cost = spent(command, folder=folder)
    return cost["wall"], cost["gigabytes"] * 1e6 / 1024, cost["printed"], cost["cpu"]


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--delta-people", type=int, default=5_000_000)
    options.add_argument("--repeat", type=int, default=5)
    args, missed = options.parse_args(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        specs = yaml.safe_load((ROOT / "destinations.yml").read_text())["destinations"]
        delivery = {"channel": "ads", "audiences": ["everyone"], "fields": FIELDS}
        (folder / "d.yml").write_text(
            yaml.safe_dump({"deliveries": {"hashed_csv": delivery}, "destinations": specs})
        )
        for people, mode, bound in [(args.people, "full", 2.2), (args.delta_people, "delta", 3.0)]:
            source = folder / f"published{people}.duckdb"
            build(source, people)
            run = [
                sys.executable,
                str(SCRIPT),
                "run",
                "--from",
                str(source),
                "--config",
                "d.yml",
                "--out",
                f"out{mode}",
                "--state",
                f"state{mode}",
                "--mode",
                mode,
                "--override",
                "grew=off",
                "--override",
                "shrank=off",
                "--override",
                "suppression_shrank=off",
                "--override",
                "removed=off",
                "--reason",
                "benchmark",
                "--now",
            ]
            if mode == "delta":
                measure([*run, "2026-11-22T01:00:00"], folder)
                seconds, peak, *_ = measure(
                    [
                        sys.executable,
                        str(SCRIPT),
                        "ack",
                        "20261122T010000Z",
                        "--out",
                        "outdelta",
                        "--state",
                        "statedelta",
                    ],
                    folder,
                )
                print(f"ack of {people:,} people: {seconds:.2f} s, {peak:,.0f} MB")
                with duckdb.connect(str(source)) as con:
                    con.execute(
                        "update marts.customers set stage = 'changed' where hash(person_id) % 100 < 2;"
                        "delete from marts.audience_members where hash(person_id) % 100 = 5"
                    )
            by_hand = [
                sys.executable,
                "-c",
                COPY,
                str(source),
                str(folder / "copy.csv"),
                str(ROOT / "scripts"),
            ]
            pairs = [
                (measure(by_hand, folder), measure([*run, f"2026-11-22T02:00:0{n}"], folder))
                for n in range(args.repeat)
            ]
            copies, exports = zip(*pairs, strict=True)
            if mode == "full":
                manifest = json.loads(max((folder / "outfull").glob("*/manifest.json")).read_text())
                written = manifest["deliveries"]["hashed_csv"]["audiences"]["everyone"]["waterfall"][
                    "written"
                ]
                assert int(copies[0][2].split()[-1]) == written, (
                    "COPY and the exporter do not write the same rows"
                )
            copy, export = min(c[0] for c in copies), min(e[0] for e in exports)
            copy_cpu, export_cpu = min(c[3] for c in copies), min(e[3] for e in exports)
            ratio, peak = export_cpu / copy_cpu, max(e[1] for e in exports)
            ledger = sum(path.stat().st_size for path in (folder / f"state{mode}").rglob("*.parquet"))
            print(f"first run {exports[0][3] / copy_cpu:.2f} x COPY's CPU; ledger {ledger / 1e6:.0f} MB, {ledger / people:.0f} bytes a person")
            print(
                f"{people:,} people x 12 columns, two hashes, {mode}: COPY {copy:.2f} s, export {export:.2f} s, "
                f"ratio {export / copy:.2f}; CPU {copy_cpu:.2f} and {export_cpu:.2f} s, ratio {ratio:.2f} (bound {bound}); "
                f"peak memory {peak:,.0f} MB"
            )
            missed += [mode] * (ratio > bound or (mode == "full" and peak > 1024))
            source.unlink()
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
