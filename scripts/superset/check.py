"""Ask Superset's own engine for every number of the dashboard and compare them with plain SQL on the published file.

The dashboard is imported into a Superset of its own in a temporary folder, so the check is of the committed YAML, and
what you changed in yours is neither checked nor touched. Each chart's query context, which is what a browser sends, goes
through ChartDataCommand, the command behind Superset's chart API.

`--expected` runs the SQL on another file than Superset's, to see that a difference is found.
Exit codes: 0 all equal, 1 a difference or a chart that nothing is known about, 2 no published file.
"""

import argparse
import json
import logging
import math
import secrets
import sys
import tempfile
import warnings
from contextlib import redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import instance

# what each chart should show: written by hand, without Superset's datasets or metrics
MONEY = """
    select {columns}, sum(net_amount) filter (where date_trunc('month', order_date) = date_trunc('month', first_order_date)) as new_revenue,
        sum(net_amount) filter (where date_trunc('month', order_date) != date_trunc('month', first_order_date)) as returning_revenue
    from marts.orders join marts.customers using (person_id) where {where} group by all"""
COMPLETE = "last_day(order_date) <= (select as_of_date from marts.build_settings)"
EXPECTED = {
    "Net revenue by month": f"""
        select month, coalesce(new_revenue, 0) as new_revenue, coalesce(returning_revenue, 0) as returning_revenue
        from ({MONEY.format(columns="date_trunc('month', order_date)::date as month", where=COMPLETE + " and true")})""",
    "Money by month": f"""
        select * replace (coalesce(new_revenue, 0) as new_revenue, coalesce(returning_revenue, 0) as returning_revenue) from ({MONEY.format(
            columns=f"strftime(order_date, '%Y-%m') as month_label, {COMPLETE} as is_complete, sum(net_amount) as net_revenue, "
            "count(*) as orders, sum(net_amount) / count(*) as average_order", where="true")})""",
    "Campaign engagement": """
        select campaign_name, channel, campaign_type, measured_result, sum(sent) as sent, sum(opened) / nullif(sum(delivered), 0) as open_rate,
            sum(clicked) / nullif(sum(delivered), 0) as click_rate, sum(click_orders) as click_orders, sum(click_revenue) as click_revenue,
            (sum(unsubscribed) + sum(complained)) / nullif(sum(delivered), 0) as left_rate, sum(cost) as cost
        from marts.campaign_engagement where true group by all""",
    "Customers": "select metric_date, customers from marts.lifecycle_metrics",
    "User activation rate": "select metric_date, user_activation_rate from marts.lifecycle_metrics",
    "Repeat customer rate": "select metric_date, repeat_customer_rate from marts.lifecycle_metrics",
    "Active share of users": """
        select metric_date, active_users / nullif(active_users + passive_users, 0) as active_share
        from marts.lifecycle_metrics""",
    "Active and passive users": "select metric_date, active_users, passive_users from marts.lifecycle_metrics",
    "Growth accounting": """
        select month, retained, resurrected, new, 0 - churned as churned from marts.growth_accounting where is_complete""",
    "Cohort retention, by months since the first order": """
        select cohort, period_index, retention from marts.cohort_retention
        where is_complete and period_index >= 1 and period_index <= 24 and cohort_size >= 10""",
    "Customers by RFM score (5 is best)": """
        select 'R' || r_score as recency, 'F' || f_score as frequency, customers from marts.rfm_grid""",
    "Stage sizes": """
        select label as stage, count(*) as people, count(*) / sum(count(*)) over () as share, sum(customers.net_revenue) as net_revenue
        from marts.customers join marts.stage_summary using (stage) where true group by label""",
    "Stage changes in the month": """
        select from_label, to_label, sum(people) as people from marts.stage_transitions
        where true and is_complete and from_stage != to_stage group by from_label, to_label having sum(people) > 0""",
    "Audiences": "select audience, people, reachable, held_out, to_send from marts.audience_summary",
    "What campaigns add": """
        select audience, treated_people, control_people, treated_conversion_rate, control_conversion_rate, 100 * difference as difference_points,
            100 * difference_low as difference_low_points, 100 * difference_high as difference_high_points, result
        from marts.campaign_results where treated_people > 0 and control_people > 0""",
}
# the dashboard's filters, one on a chart: its column there, the same for the SQL above (in the place of its `true`), and a value
FILTERED = {
    "Stage changes in the month": (
        "month_label", "month_label", "select max(month_label) from marts.stage_transitions where is_complete"),
    "Net revenue by month": (
        "stage", "customers.stage", "select label, stage from marts.stage_summary where stage = 'loyal'"),
    "Money by month": ("country", "coalesce(country, 'unknown')", "select coalesce(max(country), 'unknown') from marts.customers"),
    "Stage sizes": (
        "acquisition_channel", "coalesce(acquisition_channel, 'unknown')",
        "select coalesce(max(acquisition_channel), 'unknown') from marts.customers"),
    "Campaign engagement": ("month_label", "month_label", "select coalesce(max(month_label), 'none') from marts.campaign_engagement"),
}  # fmt: skip
# Superset adds it to heat maps: the place of a cell on the colour scale
ADDED_BY_SUPERSET = {"rank"}


def plain(value):
    """A value as text, float, bool or None, the same whether it came through pandas or from DuckDB."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool | str) or value is None:
        return value
    number = float(value) if isinstance(value, Decimal | int | float) else float(str(value))
    return None if math.isnan(number) else number


def table(columns, rows):
    """Rows as tuples, their columns in alphabetical order, sorted by their texts and dates first."""
    order = sorted(columns)
    values = [tuple(plain(row[column]) for column in order) for row in rows]
    return order, sorted(values, key=lambda row: ([value for value in row if isinstance(value, str)], repr(row)))


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return one == other


def differences(shown, wanted):
    """How many rows of two tables differ, and the first pair that does, or a reason why they cannot be compared."""
    (shown_columns, shown_rows), (wanted_columns, wanted_rows) = shown, wanted
    if shown_columns != wanted_columns:
        return 1, f"columns {shown_columns}, expected {wanted_columns}"
    pairs = zip(shown_rows, wanted_rows, strict=False)
    unlike = [pair for pair in pairs if not all(map(same, *pair))]
    missing = abs(len(shown_rows) - len(wanted_rows))
    if missing and not unlike:
        return missing, f"{len(shown_rows)} rows, expected {len(wanted_rows)}"
    return len(unlike) + missing, f"shows {unlike[0][0]}, expected {unlike[0][1]}" if unlike else ""


def chart_data(chart, column=None, value=None):
    """The data of a chart, from the command behind Superset's chart API."""
    from superset.charts.schemas import ChartDataQueryContextSchema
    from superset.commands.chart.data.get_data_command import ChartDataCommand

    context = json.loads(chart.query_context)
    if column:
        context["queries"][0]["filters"].append({"col": column, "op": "IN", "val": [value]})
    (answer,) = ChartDataCommand(ChartDataQueryContextSchema().load(context)).run()["queries"]
    return table([c for c in answer["colnames"] if c not in ADDED_BY_SUPERSET], answer["data"])


def ask_duckdb(path):
    """What every chart should show, and those with a filter filtered too: ({filtered name: (chart, column, value)}, {name: table}).

    The file is closed again, since Superset opens it with other settings in the same process.
    """
    with duckdb.connect(str(path), read_only=True) as connection:

        def ask(sql):
            cursor = connection.execute(sql)
            columns = [column[0] for column in cursor.description]
            return table(columns, [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()])

        filters, queries = {}, dict(EXPECTED)
        for chart, (column, expression, values) in FILTERED.items():
            value = connection.execute(values).fetchone()
            name = f"{chart}: {value[0]}"
            filters[name] = (chart, column, value[0])
            queries[name] = EXPECTED[chart].replace("true", f"{expression} = '{value[-1]}'")
        return filters, {name: ask(sql) for name, sql in queries.items()}


def new_superset(home):
    """An application on an empty metadata database in `home`, with a user who may import and read what the dashboard has."""
    instance.configure(home)
    from superset.app import create_app

    app = create_app()
    with app.app_context():
        from flask_appbuilder import Model
        from superset import db, security_manager

        Model.metadata.create_all(db.engine)
        role = security_manager.add_role("Check")
        allowed = [("can_write", view) for view in ("Database", "Dataset", "Chart", "Dashboard")]
        for right in [*allowed, ("all_database_access",) * 2, ("all_datasource_access",) * 2]:
            security_manager.add_permission_role(role, security_manager.add_permission_view_menu(*right))
        security_manager.add_user("check", "Check", "Only", "check@localhost", role, secrets.token_urlsafe())
    return app


def ask_superset(published, filters):
    """What every chart of the dashboard shows, by name; the filtered charts with their filters, too."""
    from superset import db, security_manager
    from superset.models.dashboard import Dashboard
    from superset.utils.core import override_user

    user = security_manager.find_user("check")
    with override_user(user):
        instance.import_dashboard(published, user)
        dashboard = db.session.query(Dashboard).filter_by(slug=instance.DASHBOARD_SLUG).one()
        charts = {chart.slice_name: chart for chart in dashboard.slices}
        shown = {name: chart_data(chart) for name, chart in charts.items()}
        return shown | {name: chart_data(charts[chart], *only) for name, (chart, *only) in filters.items()}


def report(shown, wanted):
    """Print a line per chart; return how many differ."""
    print(f"{'chart':<52}{'rows':>6}{'numbers':>9}  result")
    failures = 0
    for name in sorted(shown.keys() | wanted.keys()):
        if name in shown and name in wanted:
            unlike, example = differences(shown[name], wanted[name])
        else:
            unlike, example = 1, "has no SQL in check.py" if name in shown else "is not on the dashboard"
        rows = shown.get(name, ([], []))[1]
        numbers = sum(isinstance(value, float) for row in rows for value in row)
        failures += bool(unlike)
        print(f"{name:<52}{len(rows):>6}{numbers:>9}  {f'DIFFERS in {unlike}: {example}' if unlike else 'equal'}")
    print(f"{failures} charts differ from the marts" if failures else "Superset shows what the marts hold")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--published", help="the file Superset reads (LIFECYCLE_PUBLISHED)")
    parser.add_argument("--expected", type=Path, help="the file plain SQL reads; the same unless given")
    options = parser.parse_args()
    published = instance.published_file(options.published)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    filters, wanted = ask_duckdb(options.expected or published)
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(StringIO()):
            app = new_superset(Path(folder))
        with app.app_context():
            shown = ask_superset(published, filters)
    return 1 if report(shown, wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
