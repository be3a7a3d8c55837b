"""What a million phone numbers cost: macros/address_keys.sql over distinct numbers of several countries, written in several ways.

    .venv/bin/python benchmarks/phones.py [--phones 1000000]

Aim: at most 15 CPU seconds for a million.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("scripts", "tests")]

from typed import Desk  # noqa: E402

# region, and a number of it as people write it, # for the digits that tell the numbers apart
FORMS = [
    ("DE", "0151 #######0"), ("DE", "+49 30 #######"), ("DE", "+49151#######1"), (None, "0049 (0)170-#######"), ("US", "(201) #######"),
    ("US", "+1 201-#######"), ("GB", "07#######00"), ("GB", "+447#######01"), ("FR", "06 #######1"), ("FR", "+336#######2"), ("IT", "3#######00"),
    ("AT", "0664 #######"), ("CH", "+41 79 #######"), ("BR", "(11) 9#######1"), ("AR", "011 15 #######1"), ("IN", "+919#######00"),
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phones", type=int, default=1_000_000)
    phones = parser.parse_args().phones
    desk = Desk()
    forms = ", ".join(f"({n}, {repr(region) if region else 'null'}, '{form}')" for n, (region, form) in enumerate(FORMS))
    desk.query(f"""create table phones as
        select replace(form, '#######', cast(2000000 + i // {len(FORMS)} as varchar)) as phone, region
        from range({phones}) as numbers(i) join (values {forms}) as forms(n, region, form) on n = i % {len(FORMS)}""")
    started = time.process_time()
    desk.query(f"create table keys as {desk.macros['phone_keys']('phones')}")
    seconds = time.process_time() - started
    ((rows, written),) = desk.query("select count(*), count(phone_e164) from keys")
    print(f"{rows:,} phones, {written:,} of them E.164: {seconds:.1f} CPU s, {seconds / rows * 1e6:.1f} a million")


if __name__ == "__main__":
    main()
