"""What stands around a build costs: raw checks, publishing, recording, the report, and an export of every audience.

    python benchmarks/steps.py --customers 20000 --folder DIR

Wants the warehouse that benchmarks/build.py left in the folder, built green by `dbt build` with unit tests left out. Prints one JSON
object: {step: {"cpu", "wall", "gigabytes"}}; `copy` is one DuckDB COPY of as many rows with as many columns as the export wrote.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import duckdb
import yaml

from measuring import AS_OF, ROOT, THREADS, places, raw_data, spent

COPY = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True, config={"threads": THREADS}) as con:
    con.execute(f'''copy (select {sys.argv[3]} from marts.audience_members join marts.customers using (person_id)
        where not is_holdout) to '{sys.argv[2]}' (header)''')
""".replace("THREADS", str(THREADS))
FIELDS = ("email", "first_name", "last_name", "stage", "rfm_segment", "orders_count", "last_order_date", "net_revenue")


def steps(folder, customers):
    raw = raw_data(folder, customers)
    environment = places(folder, raw, str(customers))
    python, answer = sys.executable, {}

    def step(name, *words, ok=(0,)):
        answer[name] = {key: value for key, value in spent(words, environment, ok).items() if key in ("cpu", "wall", "gigabytes")}

    with tempfile.TemporaryDirectory() as out:
        deliveries = Path(out) / "deliveries.yml"
        deliveries.write_text(yaml.safe_dump({"deliveries": {"csv": {"channel": "email", "audiences": "all", "fields": list(FIELDS[1:])}},
                                              "settings": {"guards": {"source_age_hours": "off", "load_age_hours": "off"}}}))  # fmt: skip
        step("raw checks", python, ROOT / "scripts/validate_raw.py", "--as-of", AS_OF, ok=(0, 1))
        step("publish", python, ROOT / "scripts/publish.py")
        step("record", python, ROOT / "scripts/record_state.py")
        step("report", python, ROOT / "scripts/report.py", "--out", Path(out) / "report.html")
        step("export", python, ROOT / "scripts/export_audiences.py", "--config", deliveries, "--out", Path(out) / "exports",
             "--state", Path(out) / "state", ok=(0, 5))  # fmt: skip
        step("copy", python, "-c", COPY, environment["LIFECYCLE_PUBLISHED"], Path(out) / "all.csv", ", ".join(FIELDS))
        with duckdb.connect() as con:
            answer["rows"] = con.execute(f"select count(*) from read_csv('{out}/exports/*/csv/*.csv', union_by_name = true)").fetchone()[0]
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    print(json.dumps(steps(options.folder.absolute(), options.customers)))


if __name__ == "__main__":
    main()
