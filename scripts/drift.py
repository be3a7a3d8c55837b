"""Drift alarms: the headline numbers of a build against those of the last good run.

What may move by how much in a day, and why, are rows of seeds/drift_limits.csv. Where a definition or a variable has changed since
then, that is the cause, and nothing stops.
"""

import csv
import json
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CLOSED_MONTHS = 12

MEASURES = """
    select 'rows', source || '.' || table_name, raw_rows from {schema}.source_tables
    union all
    select 'rate', rate, value from (
        unpivot (from {schema}.lifecycle_metrics order by metric_date desc limit 1)
        on user_activation_rate, repeat_customer_rate, loyal_customer_rate into name rate value value
    )
    union all
    select 'stage', stage, people from {schema}.stage_summary
    union all
    select 'segment', segment, sum(customers) from {schema}.rfm_grid group by segment
    union all
    select 'audience', audience, people from {schema}.audience_summary
    union all
    select 'closed_month', month_label, revenue from (
        from {schema}.growth_accounting where is_complete order by month desc limit {months}
    )
"""


def headlines(connection, schema):
    """{"stage lead": number, ...} of a warehouse."""
    rows = connection.execute(MEASURES.format(schema=schema, months=CLOSED_MONTHS)).fetchall()
    return {f"{kind} {name}": float(value) for kind, name, value in rows if value is not None}


def limits():
    with (PROJECT / "seeds" / "drift_limits.csv").open(newline="") as file:
        return {row["kind"]: row for row in csv.DictReader(file)}


def changed_definitions(before, definitions, settings):
    """What was decided anew since then, as words; [] if nothing."""
    then, old = json.loads(before["definitions"]), json.loads(before["settings"])
    new = json.loads(json.dumps(settings, default=str))
    changed = [f"variable {name}: {old.get(name)} → {new.get(name)}" for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return changed + [kind for kind in definitions if then.get(kind) != definitions[kind]]


def alarms(before, now, days, changed):
    """[{level, line}] of what moved more than it may in so many days, the worst first; level is warn or stop."""
    table, found = limits(), []
    for name, old in json.loads(before["headlines"]).items():
        kind, _, what = name.partition(" ")
        new = now.get(name)
        if new is None and kind != "audience":  # an audience may be dropped
            new = 0.0
        if new is None or new == old:
            continue
        limit = table[("rows_lost" if new < old else "rows_gained") if kind == "rows" else kind]
        moved = abs(new - old) if limit["measured_as"] == "points" else abs(new - old) / max(abs(old), 1)
        allowance = max(days, 1)
        if abs(new - old) < float(limit["least"]) or moved <= float(limit["warn_at"]) * allowance:
            continue
        level = "stop" if moved > float(limit["stop_at"]) * allowance and not changed else "warn"
        cause = f"; since then changed: {', '.join(changed)}" if changed else ""
        shown = f"{old:.3f} → {new:.3f}" if limit["measured_as"] == "points" else f"{old:,.0f} → {new:,.0f}"
        line = f"{kind} {what}: {shown} since {before['run']} (as of {before['as_of_date']}){cause}. Look at: {limit['where_to_look']}"
        found.append({"level": level, "line": line})
    return sorted(found, key=lambda alarm: alarm["level"] != "stop")
