"""Write the report: the published marts as one HTML page for people.

Reads the published file only, and of it only marts about groups of people, never one about single people. The page needs
no network and no script. It has no clock but the as-of date: the same marts give the same bytes.

Exit codes: 0 written, 1 unexpected, 2 usage, 3 the marts are missing or do not hold what the report needs, 75 the
published file is being written by another program: try again.
"""

import argparse
import os
import sys
import unicodedata
import webbrowser
from itertools import groupby
from pathlib import Path

import duckdb
import jinja2
from markupsafe import Markup

from common import Problem, quoted, rounded, sync

MONTHS = 24  # that charts go back before the latest one
COHORTS, PERIODS = 24, 12  # of the heat map
LOCATIONS, LISTED = 12, 40  # rows of the locations, and of every other list that can be long
MIN_SPELLS = 30  # of return_curve: of fewer the share is noise
WIDE = 1000  # width of every drawing in its own units; it stretches to the page, heights are pixels

FAMILIES = {  # stages of one colour; the labels tell them apart
    "prospect": ("lead", "engaged", "evaluating"),
    "buying": ("new", "one_time", "repeat", "loyal", "reactivated"),
    "leaving": ("at_risk", "lapsed"),
}
FAMILY = {stage: family for family, stages in FAMILIES.items() for stage in stages}

# every number of the report comes from one of these, over marts about groups of people
QUERIES = {
    "settings": "select *, as_of_date - (active_days - 1) as active_since from build_settings",
    "today": """select users, customers, repeat_customers, loyal_customers, active_users, passive_users
        from lifecycle_metrics where metric_date = (select as_of_date from build_settings)""",
    "year_ago": """select users, customers
        from lifecycle_metrics where metric_date = (select as_of_date - interval 1 year from build_settings)""",
    "metrics": "from metric_health order by position",
    "trend": f"""select metric_date, users, customers, active_users, passive_users, user_activation_rate,
            repeat_customer_rate, loyal_customer_rate, active_users / nullif(users, 0) as active_share, session_depth
        from lifecycle_metrics, build_settings
        where (metric_date = last_day(metric_date) or metric_date = as_of_date)
            and metric_date >= date_trunc('month', as_of_date) - interval {MONTHS} month order by metric_date""",
    "value": "select sum(customers) as customers, sum(net_revenue) as net_revenue from rfm_grid",
    "stages": "from stage_summary order by position",
    "thresholds": "from stage_thresholds",
    "flows": """select month, from_stage, to_stage, people,
            regexp_replace(from_label, '^from: ', '') as from_label, regexp_replace(to_label, '^to: ', '') as to_label
        from stage_transitions where month = (select max(month) from stage_transitions where is_complete)""",
    "stage_months": f"""select to_stage as stage, month, sum(people) as people from stage_transitions
        where month >= (select max(month) from stage_transitions) - interval {MONTHS} month
        group by to_stage, month order by to_stage, month""",
    "growth": f"""from growth_accounting
        where month >= (select max(month) from growth_accounting) - interval {MONTHS} month order by month""",
    "cohorts": f"""select cohort_month, cohort_size, period_index, retention, is_complete from cohort_retention
        where period_index <= {PERIODS}
            and cohort_month in (select distinct cohort_month from cohort_retention order by 1 desc limit {COHORTS})
        order by cohort_month desc, period_index""",
    "all_cohorts": f"""select period_index, sum(active_customers) / sum(cohort_size) as retention, count(*) as cohorts
        from cohort_retention where is_complete and period_index between 1 and {PERIODS}
        group by period_index order by period_index""",
    "rfm_cells": "from rfm_grid order by r_score desc, f_score",
    "rfm_segments": """select segment, sum(customers) as customers, sum(net_revenue) as net_revenue
        from rfm_grid group by segment order by net_revenue desc, segment""",
    "return_curve": f"""from return_curve
        where is_at_risk_threshold or is_lapsed_threshold or (days_since_last_order % 7 = 0 and spells >= {MIN_SPELLS})
        order by days_since_last_order""",
    "extra_locations": """select extra_locations, sum(users) as users, sum(active_users) as active_users
        from location_cohorts where month = (select max(month) from location_cohorts) and not is_suppressed
        group by extra_locations order by extra_locations""",
    "locations": f"""with latest as (
            select * from location_cohorts where month = (select max(month) from location_cohorts)
        ), ranked as (
            select *, dense_rank() over (order by location_users desc, default_location) as place
            from (select *, sum(coalesce(users, 0)) over (partition by default_location) as location_users from latest)
            where default_location not in ('other', 'unknown')
        )
        select * exclude (location_users), max(place) over () as locations from ranked
        qualify place <= {LOCATIONS} order by place, extra_locations""",
    "touchpoints": "from touchpoint_gaps order by position",
    "audiences": "from audience_summary order by people desc, audience",
    "results": "from campaign_results order by difference is null, difference desc, assigned_people desc, audience",
    "sources": "from source_tables order by source, table_name",
    "rejected": "from rejected_reasons order by rejected_rows desc, source, table_name, reason",
}


def read(published):
    """The rows of every query, as {name: [{column: value}]}; raise Problem if the file cannot give them."""
    if not published.is_file():
        raise Problem(3, f"there is no published file {published}; `make build` or `make demo` makes it, or give --from")
    with duckdb.connect() as connection:
        try:
            connection.execute(f"attach {quoted(published)} as published (read_only)")
        except duckdb.Error as error:
            if "lock" in str(error).lower():
                raise Problem(75, f"{published} is being written by another program; try again") from None
            raise Problem(3, f"{published} is no DuckDB database that this version reads; `make build` makes one") from None
        rows = {}
        for name, query in QUERIES.items():
            try:
                connection.execute("use published.marts")
                cursor = connection.execute(query)
            except duckdb.Error as error:
                what = str(error).split("\n", 1)[0]
                raise Problem(3, f"{published} lacks what the report needs ({what}); run `make build`") from None
            columns = [column[0] for column in cursor.description]
            rows[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return rows


# --- drawings: numbers for the template, x from 0 to WIDE and y from 0 down to a height in pixels ---------------------


def line(values, height, low, high, xs=None):
    """Points (x, y) of a line through the values; None leaves a point out."""
    xs = xs or spread(len(values))
    span = (high - low) or 1
    return [(x, height * (high - value) / span) for x, value in zip(xs, values, strict=True) if value is not None]


def spread(count):
    """So many x, evenly from edge to edge."""
    return [WIDE * index / max(count - 1, 1) for index in range(count)]


def ceiling(value):
    """The next round number, as the end of an axis."""
    power = 1
    while power * 10 <= value:
        power *= 10
    return next((step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if step * power >= value), 10 * power)


def some(items, count=5):
    """About `count` of the items, with their index, evenly spaced and with the last one."""
    step = max(1, -(-(len(items) - 1) // (count - 1)))
    return [(index, items[index]) for index in range(len(items) - 1, -1, -step)][::-1]


def apart(middles, height, room=32):
    """The middles of labels, from above, moved so that none covers another or leaves the drawing by much."""
    moved = []
    for middle in middles:
        moved.append(max(middle, moved[-1] + room) if moved else middle)
    limit = height - 8
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - room
    return moved


def sankey(flows, stages, height=300, slot=22, gap=6):
    """The moves of a month as ribbons: {height, left, right: nodes, ribbons}; whoever stayed is not drawn.

    A node or ribbon is as many pixels high as people × height / all who moved; a node takes at least `slot`, for its label.
    """
    moves = [flow for flow in flows if flow["from_stage"] != flow["to_stage"] and flow["people"]]
    moved = sum(flow["people"] for flow in moves)
    if not moved:
        return None
    scale = height / moved
    order = {stage["stage"]: stage["position"] for stage in stages} | {"first_seen": 0}
    sides = {}
    for side in ("from", "to"):
        names = {flow[f"{side}_stage"]: flow[f"{side}_label"] for flow in moves}
        nodes = []
        for stage in sorted(names, key=lambda name: order.get(name, 99)):
            people = sum(flow["people"] for flow in moves if flow[f"{side}_stage"] == stage)
            nodes.append({"stage": stage, "label": names[stage], "people": people, "height": people * scale})
        sides[side] = nodes
    total = max(sum(max(node["height"] + gap, slot) for node in nodes) for nodes in sides.values())
    for nodes in sides.values():
        room = total - sum(max(node["height"] + gap, slot) for node in nodes)
        top = room / 2 if len(nodes) == 1 else 0
        for node in nodes:
            place = max(node["height"] + gap, slot)
            node["middle"] = top + place / 2
            node["top"] = node["filled"] = node["middle"] - node["height"] / 2
            top += place + room / max(len(nodes) - 1, 1)
    left, right = ({node["stage"]: node for node in sides[side]} for side in ("from", "to"))
    ribbons = []
    for flow in sorted(moves, key=lambda flow: (order.get(flow["from_stage"], 99), order.get(flow["to_stage"], 99))):
        source, target = left[flow["from_stage"]], right[flow["to_stage"]]
        thick = flow["people"] * scale
        ribbons.append(flow | {"y0": source["filled"], "y1": target["filled"], "thick": thick})
        source["filled"] += thick
        target["filled"] += thick
    return {"height": total, "left": sides["from"], "right": sides["to"], "ribbons": ribbons, "moved": moved}


def step_of(value, top, steps=7):
    """Which of the equal steps of a colour ramp from 0 to `top` a value has, from 0."""
    return min(int(steps * value / top), steps - 1) if top else 0


# --- sections: what the template shows, in its order --------------------------------------------------------------------


def tiles(rows):
    """The headline figures: {label, text parts, health, target, change, trend}."""
    today, trend = rows["today"][0], rows["trend"]
    before = rows["year_ago"][0] if rows["year_ago"] else {}
    found = []
    for name, means in (
        ("users", "people who registered, subscribed or ordered"),
        ("customers", "users with at least one counted order"),
    ):
        change = today[name] - before[name] if before else None
        found.append({"name": name, "label": name.capitalize(), "unit": "people", "value": today[name], "means": means,
                      "change": change, "health": None})  # fmt: skip
    value = rows["value"][0]
    found.append({"name": "value_per_customer", "label": "Value per customer", "unit": "money", "health": None,
                  "means": "net revenue so far / customers", "change": None, "total": value["net_revenue"] or 0,
                  "value": value["net_revenue"] / value["customers"] if value["customers"] else None})  # fmt: skip
    meanings = {
        "user_activation_rate": "customers / users",
        "repeat_customer_rate": "repeat customers / customers",
        "loyal_customer_rate": "loyal / repeat customers",
        "active_share": "active users / users",
        "session_depth": "events per session",
    }
    for metric in rows["metrics"]:
        unit = "number" if metric["metric"] == "session_depth" else "share"
        found.append(metric | {"name": metric["metric"], "unit": unit, "means": meanings.get(metric["metric"], "")})
    for tile in found:
        values = [day.get(tile["name"]) for day in trend]
        known = [value for value in values if value is not None]
        tile["spark"] = None
        if len(known) > 1:
            marks = [*known, tile["target"]] if tile.get("target") is not None else known
            low, high = min(marks), max(marks)
            tile["spark"] = {"points": line(values, 36, low, high)}
            if tile.get("target") is not None:
                tile["spark"]["target"] = 36 * (high - tile["target"]) / ((high - low) or 1)
    return found


def stage_flow(rows):
    flows, stages = rows["flows"], rows["stages"]
    if not flows:
        return None
    people = {(flow["from_stage"], flow["to_stage"]): flow["people"] for flow in flows}
    labels = {stage["stage"]: stage["label"] for stage in stages}
    from_stages = {"first_seen": "First seen"} | labels

    def moved(sources, targets):
        return sum(people.get((source, target), 0) for source in sources for target in targets)

    return {
        "month": flows[0]["month"],
        "drawing": sankey(flows, stages),
        "stayed": sum(people.get((stage, stage), 0) for stage in labels),
        "left": moved((*FAMILIES["prospect"], *FAMILIES["buying"]), FAMILIES["leaving"]),
        "came_back": moved(FAMILIES["leaving"], FAMILIES["buying"]),
        "table": [(stage, label, [(to, people.get((stage, to), 0)) for to in labels]) for stage, label in from_stages.items()],
        "columns": list(labels.values()),
    }


def stage_sizes(rows):
    """One small chart per stage over the month ends."""
    labels = {stage["stage"]: stage for stage in rows["stages"]}
    panels = {}
    for stage, group in groupby(rows["stage_months"], key=lambda row: row["stage"]):
        months = list(group)
        values = [month["people"] for month in months]
        panels[stage] = {
            "stage": stage,
            "label": labels[stage]["label"],
            "months": months,
            "highest": max(values),
            "points": line(values, 48, 0, max(values) or 1),
        }
    panels = [panels[stage] for stage in labels if stage in panels]
    return panels if panels and len(panels[0]["months"]) > 1 else None


def activity(rows, height=220):
    trend = rows["trend"]
    if len(trend) < 2 or not trend[-1]["users"]:
        return None
    first, last = trend[0]["metric_date"].toordinal(), trend[-1]["metric_date"].toordinal()
    xs = [WIDE * (day["metric_date"].toordinal() - first) / (last - first) for day in trend]
    top = ceiling(max(day["users"] for day in trend))
    active = line([day["active_users"] for day in trend], height, 0, top, xs)
    users = line([day["users"] for day in trend], height, 0, top, xs)
    return {
        "height": height,
        "top": top,
        "active": active,
        "users": users,
        "days": trend,
        "ticks": [(xs[index], day["metric_date"]) for index, day in some(trend)],
        "labels": apart([(active[-1][1] + users[-1][1]) / 2, (active[-1][1] + height) / 2], height),
    }


def growth(rows, height=240):
    months = rows["growth"]
    if not months:
        return None
    up = max(month["new"] + month["resurrected"] for month in months)
    down = max(month["churned"] for month in months)
    scale = height / ((up + down) or 1)
    zero = up * scale
    slot = WIDE / max(len(months), 6)
    bars = []
    for index, month in enumerate(months):
        x, wide = slot * (index + 0.14), slot * 0.72
        new, resurrected, churned = (month[name] * scale for name in ("new", "resurrected", "churned"))
        parts = [("new", zero - new, new), ("resurrected", zero - new - resurrected, resurrected), ("churned", zero, churned)]
        bars.append({"x": x, "wide": wide, "month": month, "parts": parts})
    complete = [month for month in months if month["is_complete"]]
    last = sorted((part for part in bars[-1]["parts"] if part[2]), key=lambda part: part[1])
    return {
        "height": height,
        "zero": zero,
        "labels": list(zip([part for part, _, _ in last], apart([y + tall / 2 for _, y, tall in last], height), strict=True)),
        "bars": bars,
        "months": months[::-1],
        "latest": complete[-1] if complete else None,
        "ticks": [(bars[index]["x"] + bars[index]["wide"] / 2, month) for index, month in some(months)],
        "end": min(100, 100 * (bars[-1]["x"] + slot) / WIDE),
    }


def cohorts(rows):
    """The heat map; steps of the colour ramp only for complete months after the first."""
    lines = [(month, list(cells)) for month, cells in groupby(rows["cohorts"], key=lambda row: row["cohort_month"])]
    shares = [cell["retention"] for cell in rows["cohorts"] if cell["period_index"] and cell["is_complete"]]
    top = max(shares, default=0)
    for _, cells in lines:
        for cell in cells:
            cell["step"] = step_of(cell["retention"], top) if cell["period_index"] and cell["is_complete"] else None
    if not lines:
        return None
    periods = range(1 + max(cell["period_index"] for cell in rows["cohorts"]))
    average = {row["period_index"]: row["retention"] for row in rows["all_cohorts"]}
    return {"lines": lines, "periods": periods, "top": top, "average": average}


def rfm(rows):
    cells, customers = rows["rfm_cells"], sum(cell["customers"] for cell in rows["rfm_cells"])
    if not customers:
        return None
    top = max(cell["customers"] for cell in cells)
    grid = [
        (score, [cell | {"step": step_of(cell["customers"], top)} for cell in line_of])
        for score, line_of in groupby(cells, key=lambda cell: cell["r_score"])
    ]
    revenue = sum(segment["net_revenue"] for segment in rows["rfm_segments"])
    segments = [
        segment
        | {
            "share": segment["customers"] / customers,
            "revenue_share": segment["net_revenue"] / revenue if revenue > 0 else None,
            "each": segment["net_revenue"] / segment["customers"] if segment["customers"] else None,
        }
        for segment in rows["rfm_segments"]
    ]
    return {"grid": grid, "segments": segments, "most": max(segment["share"] for segment in segments)}


def lapse(rows, height=220):
    """The return curve by weeks, as far as it tells something: MIN_SPELLS, and three times the days to be lapsed."""
    end = 3 * rows["thresholds"][0]["lapsed_after_days"]
    weeks = [
        row
        for row in rows["return_curve"]
        if row["days_since_last_order"] % 7 == 0 and row["spells"] >= MIN_SPELLS and row["days_since_last_order"] <= end
    ]
    if len(weeks) < 2:
        return None
    last = weeks[-1]["days_since_last_order"]
    marks = [row for row in rows["return_curve"] if row["is_at_risk_threshold"] or row["is_lapsed_threshold"]]
    shown = [row for row in rows["return_curve"] if (row["days_since_last_order"] % 28 == 0 and row in weeks) or row in marks]
    xs = [WIDE * row["days_since_last_order"] / last for row in weeks]
    step = next(days for days in (10, 20, 30, 50, 100, 200, 300, 500, last) if last / days <= 5)
    return {
        "height": height,
        "points": line([row["return_share"] for row in weeks], height, 0, 1, xs),
        "marks": [mark | {"x": WIDE * mark["days_since_last_order"] / last} for mark in marks if mark["spells"]],
        "drawn_marks": [
            mark | {"x": WIDE * mark["days_since_last_order"] / last}
            for mark in marks
            if mark["spells"] and mark["days_since_last_order"] <= last
        ],
        "ticks": [(WIDE * days / last, days) for days in range(0, last + 1, step)],
        "table": shown,
        "last": last,
    }


def locations(rows):
    if not rows["locations"]:
        return None
    groups = [dict(row, active_share=row["active_users"] / row["users"] if row["users"] else None)
              for row in rows["extra_locations"]]  # fmt: skip
    shares = [row["active_share"] for row in [*groups, *rows["locations"]] if row["active_share"] is not None]
    top = max(shares, default=0)
    for row in [*groups, *rows["locations"]]:
        row["step"] = None if row["active_share"] is None else step_of(row["active_share"], top)
    lines = [(place, list(cells)) for place, cells in groupby(rows["locations"], key=lambda row: row["default_location"])]
    return {
        "lines": lines,
        "groups": [group for group in groups if group["extra_locations"] != "any"],
        "other": next((group for group in groups if group["extra_locations"] == "any" and group["users"]), None),
        "more": rows["locations"][0]["locations"] - len(lines),
        "month": rows["locations"][0]["month"],
        "is_complete": rows["locations"][0]["is_complete"],
    }


def campaigns(rows):
    measured = [row for row in rows["results"] if row["difference"] is not None]
    low = min([0, *(row["difference_low"] for row in measured)])
    high = max([0, *(row["difference_high"] for row in measured)])
    span = (high - low) or 1
    for row in measured:
        row["drawn"] = {end: 100 * (row[f"difference{end}"] - low) / span for end in ("_low", "", "_high")}
    return {
        "measured": measured,
        "waiting": [row for row in rows["results"] if row["difference"] is None and row["assigned_people"]],
        "unassigned": sum(row["difference"] is None and not row["assigned_people"] for row in rows["results"]),
        "zero": 100 * -low / span,
        "low": low,
        "high": high,
    }


def render(rows):
    """The page, as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
    )
    environment.filters |= {"count": count, "percent": percent, "signed": signed, "money": money, "day": day,
                            "month": month, "full_month": full_month, "words": words, "at": at, "path": path}  # fmt: skip
    if not all(rows[name] for name in ("settings", "today", "thresholds", "stages")):
        raise Problem(3, "the marts hold nobody yet; there is nothing to report")
    return environment.get_template("report.html.jinja").render(
        settings=rows["settings"][0],
        today=rows["today"][0],
        tiles=tiles(rows),
        stages=rows["stages"],
        thresholds=rows["thresholds"][0],
        flow=stage_flow(rows),
        sizes=stage_sizes(rows),
        activity=activity(rows),
        growth=growth(rows),
        cohorts=cohorts(rows),
        rfm=rfm(rows),
        lapse=lapse(rows),
        locations=locations(rows),
        touchpoints=rows["touchpoints"],
        audiences=rows["audiences"],
        campaigns=campaigns(rows),
        sources=rows["sources"],
        rejected=rows["rejected"],
        families=FAMILY,
        listed=LISTED,
        min_spells=MIN_SPELLS,
        wide=WIDE,
    )


# --- words and numbers ---------------------------------------------------------------------------------------------------


def printable(value):
    """Text without control characters, which HTML has no place for."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "".join(" " if unicodedata.category(letter) == "Cc" and letter != "\n" else letter for letter in value)
    return value


def count(number):
    return "–" if number is None else f"{number:,}".replace("-", "−")


def percent(share, digits=1):
    return "–" if share is None else f"{100 * share:.{digits}f}%".replace("-", "−")


def signed(number, digits=0):
    return "–" if number is None else f"{number:+,.{digits}f}".replace("-", "−")


def money(amount, digits=0):
    return "–" if amount is None else rounded(amount, digits).replace("-", "−")


def day(date):
    return f"{date.day} {date:%B %Y}"


def month(date):
    return f"{date:%b %Y}"


def full_month(date):
    return f"{date:%B %Y}"


def words(name):
    """A name of the marts as words: cannot_lose_them as Cannot lose them."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def at(number):
    """A coordinate or percentage, short."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def path(points):
    return " ".join(f"{at(x)},{at(y)}" for x, y in points)


def write(page, out):
    """Swap the page in whole; private to its owner unless an earlier one has been opened to others."""
    out.parent.mkdir(parents=True, exist_ok=True)
    mode = out.stat().st_mode & 0o777 if out.exists() else 0o600
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    os.umask(0o077)
    try:
        partial.write_text(page, encoding="utf-8", newline="\n")
        os.chmod(partial, mode)
        sync(partial)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    sync(out.parent)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    published = os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb")
    parser.add_argument("--from", type=Path, dest="published", default=published, help="the published marts")
    parser.add_argument("--out", type=Path, help="the page; report.html beside the published marts without it")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options = parser.parse_args(arguments)
    out = options.out or options.published.with_name("report.html")
    try:
        if out.is_dir():
            raise Problem(2, f"--out {out} is a folder; name a file")
        write(render(read(options.published)), out)
    except Problem as problem:
        print(f"report: {problem}", file=sys.stderr)
        return problem.code
    print(f"Report:         {out} ({out.stat().st_size / 1000:.0f} kB)")
    if options.open:
        webbrowser.open(out.resolve().as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(main())
