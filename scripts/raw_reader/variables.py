"""Variables that nobody reads: dbt takes any name, and a threshold that is misspelt changes nothing without a word."""

import difflib
import re
from pathlib import Path

import yaml

PACKAGE = Path(__file__).resolve().parents[2]
READ = re.compile(r"""\bvar\(\s*["'](\w+)["']""")


def known():
    """The names that models, macros, seeds and tests read."""
    files = (path for folder in ("models", "macros", "seeds", "tests/dbt") for path in (PACKAGE / folder).rglob("*"))
    return {name for path in files if path.suffix in (".sql", ".yml") for name in READ.findall(path.read_text())}


def misspelt(project_folder, given):
    """A line for each variable of the project's dbt_project.yml, or `given` by --vars, that nothing reads.

    In a project that has this one as a package only what is set for the package is judged, and what looks like one of its variables.
    """
    own = yaml.safe_load((PACKAGE / "dbt_project.yml").read_text())["name"]
    project = yaml.safe_load((Path(project_folder) / "dbt_project.yml").read_text())
    declared = dict(project.get("vars") or {})
    scoped = declared.pop(own, None) or {}
    names, is_own = known(), project["name"] == own
    lines = []
    for place, variables, is_judged in (
        ("dbt_project.yml", scoped, True),
        ("dbt_project.yml", declared, is_own),
        ("--vars", {name: value for name, value in (given or {}).items() if name not in declared}, is_own),
    ):
        for name in variables.keys() - names - {own}:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.6 if is_judged else 0.85)
            if near or is_judged:
                remedy = f"did you mean '{near[0]}'?" if near else "dbt_project.yml of this package has them all"
                lines.append(f"variable {name} ({place}): there is no such variable; {remedy}")
    return sorted(lines)
