"""`make bench`: ask every question of the benchmarks once, on one machine, and write docs/benchmark.md with its chart.

    python benchmarks/bench.py [--size 100000] [--folder DIR] [--peers PYTHON] [--render]

Each answer is kept in the folder as JSON, so that a run that was ended goes on where it was; delete an answer to ask again. --render
only writes the page of what is there. Up to 20,000 customers the memory limits, the days and Spark are left out.
"""

import argparse
import json
import os
import platform
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from build import LEAST, exponent, fresh
from day import days
from floor import MARTS
from measuring import ROOT, THREADS, raw_data, spent
from steps import steps

SMALL, LARGE = 20_000, 500_000
ROUNDS, LIMITS, TIMES = 3, ("2GB", "1GB"), (1, 10)
DEAREST = 30
COLOURS = ("#2f6f8f", "#6aa5bd", "#b9d3de", "#d9a441", "#888888", "#cccccc")


def program(*words):
    """What another benchmark prints, a JSON object a line; one that fails ends this, too."""
    return [json.loads(line) for line in spent(words)["printed"].splitlines() if line.startswith("{")]


def core_cost(folder, customers, build):
    """CPU seconds of the floor's eight marts and of every model and seed that they are made of, and how many those are."""
    manifest = json.loads((folder / f"target_{customers}" / "manifest.json").read_text(encoding="utf-8"))
    open_nodes = [key for key in manifest["nodes"] if key.startswith("model.") and key.rsplit(".", 1)[-1] in MARTS]
    found = set()
    while open_nodes:
        node = open_nodes.pop()
        if node not in found and node.startswith(("model.", "seed.")):
            found.add(node)
            open_nodes += manifest["parent_map"][node]
    names = {node.rsplit(".", 1)[-1] for node in found}
    return sum(cost for key, cost in build["nodes"].items() if not key.startswith("tests.") and key.split(".", 1)[1] in names), len(found)


def questions(folder, size, peers):
    """{name of the answer: what gives it}, in order."""
    smaller = size // (10 if size >= LARGE else 5)
    warehouse = folder / f"{size}.duckdb"
    asked = {f"build_{smaller}_0": lambda: fresh(folder, smaller)}
    for n in range(ROUNDS if SMALL < size < LARGE else 1):
        asked[f"build_{size}_{n}"] = lambda: fresh(folder, size)
        asked[f"floor_{size}_{n}"] = lambda: program(sys.executable, ROOT / "benchmarks/floor.py", raw_data(folder, size), "--marts", warehouse)[0]
    asked[f"core_{size}"] = lambda: core_cost(folder, size, middle(answers(folder, f"build_{size}_"), "total"))
    asked[f"steps_{size}"] = lambda: steps(folder, size)
    if peers:
        tools = ["--tools", "duckdb", "pandas", "polars", "sqlite", "lifetimes", *["spark"] * (size > SMALL)]
        asked[f"peers_{size}"] = lambda: program(peers, ROOT / "benchmarks/peers.py", warehouse, *tools)
    if size > SMALL:
        for memory in LIMITS:
            asked[f"memory_{size}_{memory}"] = lambda memory=memory: fresh(folder, size, memory)
        for times in TIMES if size < LARGE else ():
            asked[f"days_{size // 5}_{times}"] = lambda times=times: days(folder, size // 5, times)
    return asked


def answers(folder, prefix):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"{prefix}*.json"))]


def ask(folder, asked):
    for n, (name, question) in enumerate(asked.items(), 1):
        path = folder / f"{name}.json"
        if path.exists():
            continue
        print(f"{datetime.now().astimezone():%H:%M:%S}  {n} of {len(asked)}: {name}", file=sys.stderr, flush=True)
        path.write_text(json.dumps(question(), indent=1), encoding="utf-8")


# ---- the page ----

def table(headers, rows):
    lines = [headers, ["---", *["--:"] * (len(headers) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def middle(found, key):
    """The answer of the round in the middle."""
    return sorted(found, key=lambda one: one[key])[len(found) // 2]


def layers(build):
    found = Counter()
    for name, cost in build["nodes"].items():
        found[name.split(".")[0]] += cost
    return {**dict(found.most_common()), "dbt itself": build["total"] - sum(build["nodes"].values())}


def machine():
    """What is measured on, without the name of anything."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def chart(path, bars):
    """An SVG of horizontal bars. bars: {label: {part: CPU seconds}}."""
    most, left, width, height = max(sum(parts.values()) for parts in bars.values()), 210, 560, 34
    parts_of = list(dict.fromkeys(part for parts in bars.values() for part in parts))
    drawn = []
    for row, (label, parts) in enumerate(bars.items()):
        y, x = 20 + row * height, float(left)
        drawn.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{label}</text>')
        for part, cost in parts.items():
            colour, wide = COLOURS[parts_of.index(part) % len(COLOURS)], width * cost / most
            drawn.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="22" fill="{colour}"><title>{part}: {cost:.1f} s</title></rect>')
            x += wide
        drawn.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{sum(parts.values()):.1f} s</text>')
    y = 30 + len(bars) * height
    at = 20
    for n, part in enumerate(parts_of):
        drawn.append(f'<rect x="{at}" y="{y}" width="11" height="11" fill="{COLOURS[n % len(COLOURS)]}"/><text x="{at + 16}" y="{y + 10}">{part}</text>')
        at += 36 + 7 * len(part)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {y + 26}" font-family="sans-serif" font-size="13" role="img" '
                    f'aria-label="CPU seconds"><rect width="100%" height="100%" fill="#ffffff"/>{"".join(drawn)}</svg>\n', encoding="utf-8")


def section(folder, size, page):
    """The tables of one size, and its bars of the chart."""
    builds, floors = answers(folder, f"build_{size}_"), answers(folder, f"floor_{size}_")
    build, by_hand, smaller = middle(builds, "total"), middle(floors, "cpu"), size // (10 if size >= LARGE else 5)
    small = (answers(folder, f"build_{smaller}_") or [None])[0]
    total, floor, limit = build["total"], by_hand["cpu"], by_hand["limit"]
    core, count = answers(folder, f"core_{size}")[0]
    page.append(f"## {size:,} customers\n\nCPU seconds{f', of {len(builds)} interleaved rounds the one in the middle' * (len(builds) > 1)}.\n")
    page.append(table(["what", "CPU s", "× floor"], [
        ["scan of the floor's inputs and rewrite of its outputs (the limit)", f"{limit:.1f}", f"{limit / floor:.2f}"],
        ["eight marts by hand (the floor)", f"{floor:.1f}", "1.00"],
        [f"the same eight marts here, with the {count - len(MARTS)} models and seeds before them", f"{core:.1f}", f"{core / floor:.2f}"],
        ["the whole `dbt build`, all marts and data tests", f"{total:.1f}", f"{total / floor:.2f}"]]))
    page.append(f"Rows of the eight marts: equal on all columns that the floor has. Peak memory {build['gigabytes']:.1f} GB, warehouse {build['warehouse']:.2f} GB.\n")
    costs = {name: [small["nodes"].get(name, 0) if small else 0, cost] for name, cost in build["nodes"].items()}

    def rows(found):
        for name, (first, last) in found:
            slope = exponent(first, last, (smaller, size)) if small else None
            yield [name if len(name) < 80 else f"{name[:77]}...", f"{first:.2f}", f"{last:.2f}", f"{slope:.2f}" if slope is not None else ""]

    before = layers(small) if small else {}
    whole = {"whole build": (small["total"] if small else 0, build["total"])}
    headers = ["CPU seconds at", f"{smaller:,}", f"{size:,}", "exponent"]
    page.append(table(["layer: " + headers[0], *headers[1:]], rows([*{name: (before.get(name, 0), cost) for name, cost in layers(build).items()}.items(), *whole.items()])))
    steep = {name: pair for name, pair in costs.items() if small and (exponent(*pair, (smaller, size)) or 0) > 1.1}
    page.append(f"The {DEAREST} dearest nodes; an exponent (1 is linear) is left out where a node costs less than {LEAST} s at the smaller size. "
                f"Of all {len(costs)} nodes {len(steep) or 'none'} {'has' if len(steep) < 2 else 'have'} one above 1.10{': ' * bool(steep)}{', '.join(sorted(steep))}.\n")
    page.append(table(["node: " + headers[0], *headers[1:]], rows(sorted(costs.items(), key=lambda item: -item[1][1])[:DEAREST])))
    limits = {memory: found[0] for memory in LIMITS if (found := answers(folder, f"memory_{size}_{memory}"))}
    if limits:
        page.append("### Under a memory limit\n\n`LIFECYCLE_MEMORY`, DuckDB's `memory_limit`; the process needs more than that, for dbt and the files' buffers.\n")
        page.append(table(["limit", "whole build", "CPU s", "peak memory of the process, GB"], [
            [memory, "green" if one["ok"] else "**not green**", f"{one['total']:.1f}", f"{one['gigabytes']:.2f}"] for memory, one in limits.items()]))
    for found in answers(folder, f"steps_{size}"):
        page.append("### Around the build\n")
        page.append(table(["step", "CPU s", "wall-clock s", "peak memory, GB"], [
            [name, f"{one['cpu']:.1f}", f"{one['wall']:.1f}", f"{one['gigabytes']:.2f}"] for name, one in found.items() if name != "rows"]))
        page.append(f"`export` writes the {found['rows']:,} rows of all audiences with consent, suppressions and ledger; `copy` is one DuckDB COPY of "
                    "every audience's members with as many columns and nothing checked.\n")
    peers = answers(folder, f"peers_{size}")
    if peers and peers[0]:
        base = peers[0][0]
        page.append("### Other tools\n\nRFM scores, three rates and the retention of monthly cohorts from the orders, in a process each; the same answer from all. "
                    "lifetimes only makes its summary per person. Of Spark the CPU is its Python's alone, so its wall-clock time counts.\n")
        page.append(table(["tool", "CPU s", "× DuckDB", "wall-clock s", "peak memory, GB"], [
            [f"{one['tool']} {one['version']}", *(["", ""] if one["tool"] == "spark" else [f"{one['cpu']:.2f}", f"{one['cpu'] / base['cpu']:.1f}"]),
             f"{one['wall']:.2f}", "" if one["tool"] == "spark" else f"{one['gigabytes']:.2f}"] for one in peers[0]]))
    return {f"limit, {size:,}": {"by hand": limit}, f"floor, {size:,}": {"by hand": floor}, f"the same marts, {size:,}": {"those models": core},
            f"whole build, {size:,}": {"those models": core, "other models and seeds": sum(c for n, c in build["nodes"].items() if not n.startswith("tests.")) - core,
                                       "data tests": layers(build).get("tests", 0), "dbt itself": layers(build)["dbt itself"]}}  # fmt: skip


def render(folder, command):
    sizes = sorted({int(path.stem.split("_")[1]) for path in folder.glob("core_*.json")})
    tools = ", ".join(f"{name} {version(name)}" for name in ("dbt-core", "dbt-duckdb", "duckdb"))
    page = ["# Benchmarks\n", f"Made by `{command}` on {datetime.now(UTC):%Y-%m-%d}: {machine()}, Python {platform.python_version()}, {tools}, {THREADS} threads of DuckDB. "
            "Costs are CPU seconds of whole processes, so that other work on the machine hardly shows. The data are the demo's, made once per size; "
            "`benchmarks/` has a module per question.\n", "![CPU seconds](benchmark.svg)\n"]
    bars = {}
    for size in sizes:
        bars |= section(folder, size, page)
    found = sorted(answers(folder, "days_"), key=lambda one: one["times"])
    if found:
        page.append("## The morning after\n\nEvents and messages lie in a file per month; only the last day's are new. The same people with ten times the events.\n")
        page.append(table(["events", "whole build from nothing, CPU s", "the next day, CPU s", "× the first line"], [
            [f"{one['events']:,}", f"{one['full']:.1f}", f"{one['day']:.1f}", f"{one['day'] / found[0]['day']:.2f}"] for one in found]))
    (ROOT / "docs" / "benchmark.md").write_text("\n".join(page), encoding="utf-8")
    chart(ROOT / "docs" / "benchmark.svg", bars)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", type=int, default=100_000, help="customers")
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "bench")
    parser.add_argument("--peers", type=Path, help="the Python that has the other tools")
    parser.add_argument("--render", action="store_true", help="only write the page")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not options.render:
        ask(folder, questions(folder, options.size, options.peers and options.peers.absolute()))
    render(folder, "make bench" if options.size == 100_000 else f"make bench SIZE={options.size}")
    print("docs/benchmark.md")


if __name__ == "__main__":
    main()
