"""The page from its template."""

from pathlib import Path

import jinja2

from common import Problem

from . import sections, words
from .drawings import FAMILY, WIDE
from .queries import FEW, LISTED, MIN_SPELLS

SECTIONS = {  # in the order of the page: what changed and what to do, then the rest; a template each
    "money": "Money",
    "changes": "What changed",
    "next": "What to do next",
    "key-figures": "Key figures",
    "campaigns": "Campaigns",
    "audiences": "Audiences",
    "list": "List growth",
    "touchpoints": "Touchpoints",
    "stages": "Stages",
    "flow": "Stage flow",
    "through-time": "Through time",
    "growth": "Growth",
    "cohorts": "Cohorts",
    "values": "Cohort value",
    "comebacks": "Comebacks",
    "lapse": "Lapse",
    "rfm": "RFM",
    "products": "Products",
    "groups": "Channels, countries",
    "activity": "Activity",
    "habits": "Habits",
    "subscriptions": "Subscriptions",
    "locations": "Locations",
    "data": "Data",
}
ONLY_WITH_ROWS = ("habits", "subscriptions")
FILTERS = ("count", "percent", "signed", "points", "money", "change", "shown", "short",
           "day", "month", "short_month", "full_month", "words", "at", "path")


def render(rows):
    """The page, as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=words.printable,
    )
    environment.filters |= {name: getattr(words, name) for name in FILTERS}
    if not all(rows[name] for name in ("settings", "today", "thresholds", "stages")):
        raise Problem(3, "the marts hold nobody yet; there is nothing to report")
    shown = dict(
        settings=rows["settings"][0],
        today=rows["today"][0],
        money=sections.money(rows),
        changes=sections.changes(rows),
        steps=sections.next_steps(rows),
        tiles=sections.tiles(rows),
        campaigns=sections.campaigns(rows),
        audiences=rows["audiences"],
        list_growth=sections.list_growth(rows),
        touchpoints=rows["touchpoints"],
        touchpoint_stages=sections.touchpoints(rows),
        stages=rows["stages"],
        thresholds=rows["thresholds"][0],
        flow=sections.stage_flow(rows),
        sizes=sections.stage_sizes(rows),
        growth=sections.growth(rows),
        cohorts=sections.cohorts(rows),
        values=sections.values(rows),
        comebacks=sections.comebacks(rows),
        lapse=sections.lapse(rows),
        rfm=sections.rfm(rows),
        products=rows["products"],
        groups=sections.groups(rows),
        activity=sections.activity(rows),
        habits=sections.habits(rows),
        subscriptions=sections.subscriptions(rows),
        locations=sections.locations(rows),
        sources=rows["sources"],
        rejected=rows["rejected"],
    )
    return environment.get_template("page.html.jinja").render(
        **shown,
        sections=[(name, title) for name, title in SECTIONS.items() if name not in ONLY_WITH_ROWS or shown[name]],
        families=FAMILY,
        listed=LISTED,
        top=FEW,
        min_spells=MIN_SPELLS,
        wide=WIDE,
    )
