"""Sections: what the template shows, in its order."""

from itertools import groupby

from .drawings import FAMILIES, WIDE, apart, ceiling, line, sankey, some, step_of
from .queries import MIN_SPELLS


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
