"""Sections: what the template shows, in its order."""

from itertools import groupby

from .drawings import FAMILIES, WIDE, apart, ceiling, columns, curves, line, sankey, some, step_of
from .queries import FEW, LISTED, MIN_SPELLS, MONTHS


def by_month(rows):
    """{month: row}"""
    return {row["month"]: row for row in rows}


def earlier(month, months):
    """The first day of the month so many months before."""
    years, index = divmod(12 * month.year + month.month - 1 - months, 12)
    return month.replace(year=years, month=index + 1)


MONEY = {  # figure: its label, unit and meaning
    "net_revenue": ("Net revenue", "money", "after discounts and refunds"),
    "orders": ("Orders", "count", "counted orders"),
    "average_order": ("Average order", "money", "net revenue / orders"),
    "new_revenue": ("New revenue", "money", "of customers new in the month"),
    "returning_revenue": ("Returning revenue", "money", "of all other customers"),
}


def money(rows):
    """Net revenue by month: the last complete month against the one before and that of the year before, and all months."""
    months = [
        row
        | {"returning_revenue": row["net_revenue"] - row["new_revenue"],
           "average_order": row["net_revenue"] / row["orders"] if row["orders"] else None}
        for row in rows["money"]
    ]  # fmt: skip
    known = by_month(months)
    complete = [row for row in months if row["is_complete"]]
    if not months:
        return None
    for row in months:
        row["month_before"], row["year_before"] = (known.get(earlier(row["month"], back)) for back in (1, 12))
    return {
        "latest": complete[-1] if complete else None,
        "running": months[-1] if not months[-1]["is_complete"] else None,
        "chart": columns(months[-MONTHS - 1 :], {"new_revenue": "b", "returning_revenue": "a"}, height=240),
        "months": months[: -MONTHS - 2 : -1],
        "figures": MONEY,
    }


def changes(rows):
    """What changed in the last complete month: people by stage, customers by segment, contactable addresses by channel."""
    months = sorted({row["month"] for row in rows["stage_months"]})
    flows = rows["flows"]
    if not flows or earlier(flows[0]["month"], 1) not in months:
        return None
    month = flows[0]["month"]
    sizes = {(row["month"], row["stage"]): row["people"] for row in rows["stage_months"]}
    found = {
        "stages": [(row["label"], sizes.get((month, row["stage"]), 0), sizes.get((earlier(month, 1), row["stage"]), 0))
                   for row in rows["stages"] if row["stage"] != "erased"],
        "segments": [(row["segment"], row["now"], row["before"]) for row in rows["segment_changes"]],
        "list": [(row["channel"], row["contactable"], row["contactable"] - row["net_growth"])
                 for row in rows["list"] if row["month"] == month],
    }  # fmt: skip
    moves = sorted((flow for flow in flows if flow["from_stage"] not in ("first_seen", flow["to_stage"])),
                   key=lambda flow: (-flow["people"], flow["from_stage"], flow["to_stage"]))  # fmt: skip
    return {
        "month": month,
        "before": earlier(month, 1),
        "tables": {name: sorted(lines, key=lambda line: -abs(line[1] - line[2]))[:FEW] for name, lines in found.items()},
        "moves": [flow for flow in moves if flow["people"]][:3],
    }


def next_steps(rows):
    """What to do with whom, and what campaigns have been shown to bring, for today's people."""
    gains = [
        row
        | {"gain": row["to_send"] * row["revenue_difference"],
           "least": row["to_send"] * row["low"], "most": row["to_send"] * row["high"]}
        for row in rows["gains"]
        if row["low"] is not None and row["high"] is not None
    ]  # fmt: skip
    actions = [row for row in rows["next_actions"] if row["value"] > 0]
    return {"actions": actions, "prospects": [row for row in rows["next_actions"] if row["value"] <= 0],
            "people": sum(row["people"] for row in rows["next_actions"]),
            "none": rows["no_action"][0]["people"] if rows["no_action"] else 0,
            "gains": gains[:FEW], "unmeasured": len(rows["gains"]) - len(gains)}  # fmt: skip


def list_growth(rows):
    """Contactable addresses by channel, and the changes of the largest one month by month."""
    lines = rows["list"]
    if not any(row["contactable"] or row["opt_ins"] for row in lines):
        return None
    channels = [row["channel"] for row in lines if row["month"] == lines[-1]["month"]]
    largest = [row for row in lines if row["channel"] == channels[0]]
    months = sorted({row["month"] for row in lines})
    stocks = {(row["month"], row["channel"]): row for row in lines}
    complete = [row for row in largest if row["is_complete"]]
    return {
        "largest": channels[0],
        "channels": channels,
        "latest": complete[-1] if complete else None,
        "chart": columns(largest, {"opt_ins": "a"}, {"opt_outs": "c", "lost": "d"}),
        "table": [(stocks[month, channels[0]]["is_complete"], month, [stocks[month, channel] for channel in channels])
                  for month in reversed(months)],
    }  # fmt: skip


def values(rows, height=240):
    """Value per customer by age, a line per year of the first order, of those who reached the age."""
    years = [(year, list(points)) for year, points in groupby(rows["values"], key=lambda row: row["year"])]
    ages = sorted({row["age_days"] for row in rows["values"]})
    drawn = [(year, points) for year, points in years if len(points) > 1][-4:]
    if not drawn:
        return None
    series = [
        (year, colour, [(WIDE * row["age_days"] / ages[-1], float(row["value"])) for row in points])
        for colour, (year, points) in zip("0123"[-len(drawn) :], drawn, strict=True)
    ]
    labelled = [age for age in ages if age in (0, ages[-1]) or age >= 90]
    ticks = [(WIDE * age / ages[-1], f"{age} days" if age == ages[-1] else age) for age in labelled]
    by_age = {(row["year"], row["age_days"]): row for row in rows["values"]}
    return {
        "chart": curves(series, ticks, height),
        "titles": [f"Day {age}" for age in ages],
        "table": [(year, [by_age.get((year, age)) for age in ages]) for year, _ in reversed(years)],
        "at_90": [(year, by_age[year, 90]) for year, _ in years if (year, 90) in by_age][-2:],
    }


def comebacks(rows):
    known = by_month(rows["comebacks"])
    if not known or not rows["growth"]:
        return None
    nobody = {"at_risk": 0, "lapsed": 0, "after_a_message": 0, "net_revenue": 0, "window_days": 0}
    months = [
        {"month": row["month"], "is_complete": row["is_complete"]} | known.get(row["month"], nobody)
        for row in rows["growth"]
        if row["month"] >= min(known)
    ]
    complete = [row for row in months if row["is_complete"]]
    everybody = sum(row["people"] for row in rows["comeback_campaigns"])
    return {
        "latest": complete[-1] if complete else None,
        "chart": columns(months, {"lapsed": "a", "at_risk": "b"}),
        "months": months[::-1],
        "campaigns": [row | {"share": row["people"] / everybody} for row in rows["comeback_campaigns"]],
    }


def groups(rows):
    """Channels and countries, those with customers."""
    kinds = {kind: list(lines) for kind, lines in groupby(rows["groups"], key=lambda row: row["kind"])}
    return {kind: lines for kind, lines in kinds.items() if any(line["name"] not in ("unknown", "other") for line in lines)}


def habits(rows):
    weeks, facts = rows["habit_weeks"], rows["habits"]
    if not facts or not any(week["mau"] for week in weeks):
        return None
    days = rows["habit_days"]
    last = max(len(weeks) - 1, 1)
    drawn = (("in 28 days", "mau", "1"), ("in 7 days", "wau", "2"), ("on the day", "dau", "3"))
    series = [
        (name, colour, [(WIDE * index / last, week[key]) for index, week in enumerate(weeks)]) for name, key, colour in drawn
    ]
    reading = {channel: {row["habit"]: row["people"] for row in lines}
               for channel, lines in groupby(rows["reading"], key=lambda row: row["channel"])}  # fmt: skip
    steps = {kind: list(lines) for kind, lines in groupby(rows["habit_steps"], key=lambda row: row["kind"])}
    top = ceiling(max((row["people"] for row in days), default=0) or 1)
    bars = [160 * row["people"] / top for row in days]
    return {
        "now": weeks[-1],
        "facts": facts[0],
        "chart": curves(series, [(WIDE * index / last, f"{week['metric_date']:%b %Y}") for index, week in some(weeks)]),
        "weeks": weeks[::-1],
        "days": {"month": days[0]["month"], "rows": days, "top": top, "bars": bars} if days else None,
        "reading": reading,
        "steps": steps,
    }


MOVEMENTS = {"new_mrr": "New", "expansion_mrr": "Expansion", "reactivated_mrr": "Reactivated",
             "contraction_mrr": "Contraction", "churned_mrr": "Churned"}  # fmt: skip


def subscriptions(rows):
    months = rows["movements"]
    if not any(row["closing_mrr"] or row["opening_mrr"] for row in months):
        return None
    complete = [row for row in months if row["is_complete"]]
    return {
        "latest": complete[-1] if complete else months[-1],
        "chart": columns(months, {"reactivated_mrr": "e", "expansion_mrr": "b", "new_mrr": "a"},
                         {"contraction_mrr": "d", "churned_mrr": "c"}),
        "months": months[::-1],
        "words": MOVEMENTS,
        "plans": rows["plans"],
    }  # fmt: skip


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
            days = [day["metric_date"] for day, value in zip(trend, values, strict=True) if value is not None]
            tile["spark"] = {"points": line(values, 36, low, high), "low": low, "high": high, "first": days[0], "last": days[-1]}
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
        "ticks": [(xs[index], f"{day['metric_date']:%b %Y}") for index, day in some(trend)],
        "labels": apart([(active[-1][1] + users[-1][1]) / 2, (active[-1][1] + height) / 2], height),
    }


def growth(rows):
    months = rows["growth"]
    if not months:
        return None
    complete = [month for month in months if month["is_complete"]]
    return {
        "chart": columns(months, {"resurrected": "b", "new": "a"}, {"churned": "c"}, 240),
        "months": months[::-1],
        "latest": complete[-1] if complete else None,
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
    return {"grid": grid, "top": top, "segments": segments, "most": max(segment["share"] for segment in segments)}


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
        "y": [(0, "100%"), (height / 2, "50%"), (height, "0%")],
        "ticks": [(WIDE * days / last, f"{days} days") for days in range(0, last + 1, step)],
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
        "top": top,
        "groups": [group for group in groups if group["extra_locations"] != "any"],
        "other": next((group for group in groups if group["extra_locations"] == "any" and group["users"]), None),
        "more": rows["locations"][0]["locations"] - len(lines),
        "month": rows["locations"][0]["month"],
        "is_complete": rows["locations"][0]["is_complete"],
    }


def campaigns(rows):
    """Campaigns that sent something, beside the effect that a holdout shows, and every measured audience."""
    measured = [row for row in rows["results"] if row["difference"] is not None]
    low = min([0, *(row["difference_low"] for row in measured)])
    high = max([0, *(row["difference_high"] for row in measured)])
    span = (high - low) or 1
    for row in measured:
        for end in ("", "_low", "_high"):
            row[f"points{end}"] = 100 * row[f"difference{end}"]
        for end in ("_low", "_high"):
            each = row[f"revenue_difference{end}"]
            row[f"revenue{end}"] = None if each is None else row["treated_people"] * each
        row["drawn"] = {end: 100 * (row[f"difference{end}"] - low) / span for end in ("_low", "", "_high")}
    effects = {row["audience"]: row for row in measured}
    return {
        "sent": [row | {"effect": effects.get(row["measured_audience"])} for row in rows["engagement"]],
        "measured": measured,
        "waiting": [row for row in rows["results"] if row["difference"] is None and row["assigned_people"]],
        "unassigned": sum(row["difference"] is None and not row["assigned_people"] for row in rows["results"]),
        "zero": 100 * -low / span,
        "low": low,
        "high": high,
    }


def touchpoints(rows):
    """The listed activities by RACE stage: (stage, people in it, activities)."""
    stages = {}
    for row in rows["touchpoints"][:LISTED]:
        stages.setdefault((row["race_stage"], row["people_in_stage"]), []).append(row)
    return [(*stage, lines) for stage, lines in stages.items()]
