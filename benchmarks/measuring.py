"""What the benchmarks share: the demo's raw data of a size, and what a command costs as a process of its own."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AS_OF, TIME_ZONE, THREADS = "2026-06-30", "Europe/Berlin", 2  # threads as in profiles.yml
os.umask(0o077)  # the marts are of made-up people, but are kept like others
VARIABLES = {"as_of_date": AS_OF, "business_time_zone": TIME_ZONE}


def cpu():
    """CPU seconds of this process until now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def spent(command, more=None, ok=(0,), folder=ROOT):
    """{"cpu" and "wall": seconds, "gigabytes": peak memory, "printed", "code"} of a command; ends the benchmark where its code is not ok."""
    start = time.perf_counter()
    with subprocess.Popen([str(word) for word in command], cwd=folder, env=os.environ | (more or {}), stdout=subprocess.PIPE, text=True) as child:
        printed = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in ok:
        sys.exit(f"benchmark: {command[1]} ended with {child.returncode}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - start, "gigabytes": usage.ru_maxrss / 1e6,
            "printed": printed, "code": child.returncode}  # fmt: skip


def raw_data(folder, customers):
    """The folder of the demo's raw data of so many customers, made once."""
    raw = folder / f"raw_{customers}"
    if not raw.exists():
        spent([sys.executable, ROOT / "scripts" / "generate_demo_data.py", "--customers", customers, "--as-of", AS_OF, "--out", raw,
               "--state", folder / f"state_{customers}"])  # fmt: skip
    return raw


def places(folder, raw, name):
    """The environment of a warehouse of its own, with the state that the raw data came with."""
    state = raw.with_name(raw.name.replace("raw_", "state_"))
    return {
        "LIFECYCLE_RAW": str(raw), "LIFECYCLE_WAREHOUSE": str(folder / f"{name}.duckdb"), "LIFECYCLE_STATE": str(state),
        "LIFECYCLE_PUBLISHED": str(folder / f"{name}_published.duckdb"), "DBT_TARGET_PATH": str(folder / f"target_{name}"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }  # fmt: skip
