"""What a whole `dbt build` with its data tests costs: CPU by layer and by node, and how each grows with the data.

    python benchmarks/build.py [--customers 10000 40000] [--memory 2GB] [--folder DIR] [--json]

Of each size the demo's raw data are made once (and kept where --folder says), then built with one node at a time in a process
of its own, so that the CPU of a node is that of the process between its start and its end. Of several sizes the exponent is the
slope between the first and the last: 1 is linear. CPU counts all threads, so other work on the machine hardly shows.
Exit code 1 when a build is not green, such as one that --memory (DuckDB's memory_limit) is too small for.
"""

import argparse
import json
import math
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path

from measuring import VARIABLES, cpu, places, raw_data, spent

LEAST = 0.3  # CPU seconds at the first size under which an exponent is noise
DEAREST = 25


def build():
    """Build in this process and print {"ok", "total", "gigabytes", "nodes": {layer.name: CPU seconds}} as JSON."""
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 only here: it reads the environment

    started, costs = {}, Counter()

    def listen(event):
        node = getattr(event.data, "node_info", None)
        if event.info.name == "NodeStart":
            started[node.unique_id] = cpu()
        elif event.info.name == "NodeFinished" and node.unique_id in started:
            layer = node.node_relation.schema if node.resource_type == "model" else f"{node.resource_type}s"
            costs[f"{layer}.{node.node_name}"] += cpu() - started[node.unique_id]

    arguments = ["--quiet", "build", "--threads", "1", "--exclude-resource-type", "unit_test", "--vars", json.dumps(VARIABLES)]
    ok = dbtRunner(callbacks=[listen]).invoke(arguments).success
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"ok": ok, "total": cpu(), "gigabytes": gigabytes, "nodes": costs}))


def measure(folder, raw, name, memory=None):
    """What `build` prints, of a warehouse of that name, which is kept; with how large it is."""
    environment = places(folder, raw, name)
    done = spent([sys.executable, __file__, "--build"], environment | ({"LIFECYCLE_MEMORY": memory} if memory else {}))
    return json.loads(done["printed"].splitlines()[-1]) | {"warehouse": Path(environment["LIFECYCLE_WAREHOUSE"]).stat().st_size / 1e9}


def fresh(folder, customers, memory=None):
    """The same of a whole build of that many customers from nothing."""
    raw = raw_data(folder, customers)
    (folder / f"{customers}.duckdb").unlink(missing_ok=True)
    return measure(folder, raw, str(customers), memory)


def exponent(first, last, sizes):
    """How a cost grows between the first and the last size; None where it is too small to tell."""
    return math.log(last / first) / math.log(sizes[-1] / sizes[0]) if first >= LEAST and len(sizes) > 1 else None


def table(title, rows, sizes):
    """rows: {name: [CPU seconds of each size]}."""
    print(f"\n{title:<60}" + "".join(f"{size:>12,}" for size in sizes) + f"{'exponent':>12}" * (len(sizes) > 1))
    for name, costs in rows.items():
        slope = exponent(costs[0], costs[-1], sizes)
        print(f"{name[:59]:<60}" + "".join(f"{cost:>12.2f}" for cost in costs) + (f"{slope:>12.2f}" if slope is not None else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--memory", help="DuckDB's memory_limit, such as 2GB")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object per size instead of tables")
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        return build()
    sizes = sorted(options.customers)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        found = [fresh(folder, size, options.memory) for size in sizes]
    if options.json:
        print(*map(json.dumps, found), sep="\n")
        return 0 if all(one["ok"] for one in found) else 1
    names = sorted(set().union(*(one["nodes"] for one in found)), key=lambda name: -found[-1]["nodes"].get(name, 0))
    nodes = {name: [one["nodes"].get(name, 0) for one in found] for name in names}
    layers = Counter()
    for name, costs in nodes.items():
        for n, cost in enumerate(costs):
            layers[name.split(".")[0], n] += cost
    kinds = sorted({layer for layer, _ in layers}, key=lambda layer: -layers[layer, len(sizes) - 1])
    rows = {layer: [layers[layer, n] for n in range(len(sizes))] for layer in kinds}
    rows["dbt itself"] = [one["total"] - sum(one["nodes"].values()) for one in found]
    table("CPU seconds by layer, customers", rows | {"whole build": [one["total"] for one in found]}, sizes)
    table(f"CPU seconds of the {DEAREST} dearest nodes, customers", dict([*nodes.items()][:DEAREST]), sizes)
    table("gigabytes", {"peak memory": [one["gigabytes"] for one in found], "warehouse": [one["warehouse"] for one in found]}, sizes)
    return 0 if all(one["ok"] for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
