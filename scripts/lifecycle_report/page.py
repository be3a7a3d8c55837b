"""The page from its template."""

from pathlib import Path

import jinja2

from common import Problem

from . import sections, words
from .drawings import FAMILY, WIDE
from .queries import LISTED, MIN_SPELLS


def render(rows):
    """The page, as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=words.printable,
    )
    filters = ("count", "percent", "signed", "money", "day", "month", "full_month", "words", "at", "path")
    environment.filters |= {name: getattr(words, name) for name in filters}
    if not all(rows[name] for name in ("settings", "today", "thresholds", "stages")):
        raise Problem(3, "the marts hold nobody yet; there is nothing to report")
    return environment.get_template("page.html.jinja").render(
        settings=rows["settings"][0],
        today=rows["today"][0],
        tiles=sections.tiles(rows),
        stages=rows["stages"],
        thresholds=rows["thresholds"][0],
        flow=sections.stage_flow(rows),
        sizes=sections.stage_sizes(rows),
        activity=sections.activity(rows),
        growth=sections.growth(rows),
        cohorts=sections.cohorts(rows),
        rfm=sections.rfm(rows),
        lapse=sections.lapse(rows),
        locations=sections.locations(rows),
        touchpoints=rows["touchpoints"],
        audiences=rows["audiences"],
        campaigns=sections.campaigns(rows),
        sources=rows["sources"],
        rejected=rows["rejected"],
        families=FAMILY,
        listed=LISTED,
        min_spells=MIN_SPELLS,
        wide=WIDE,
    )
