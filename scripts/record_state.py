"""Remember what raw data cannot tell: who entered and left which audience on this build's day, and who is held out.

Copies `audience_changes` of a green build into a new Parquet file of LIFECYCLE_STATE/audience_events. Files are only
ever added: an assignment once made is never drawn again. A second run for the same day adds only audiences that are new
since the first; a day before the last one recorded adds nothing.

Exit codes: 0 recorded, or nothing to record, 1 unexpected, 2 usage, 3 the last dbt run was not a green build, or saw
another state, 75 busy: try again.
"""

import argparse
import os
import sys
from pathlib import Path

from common import USAGE, WRONG, Problem, private, quoted, run_script, written_whole
from publish import add_schema, add_warehouse, connect_green, only_one

COLUMNS = "as_of_date, audience, event, person_id, entered_on, is_holdout, holdout_share"


def connect(warehouse, schema, folder):
    """A connection with the warehouse, the state as the table `known`, and this build's events as `news`."""
    connection = connect_green(warehouse, schema)
    connection.execute(
        "create table known (as_of_date date, audience varchar, event varchar, person_id varchar, entered_on date, "
        "is_holdout boolean, holdout_share double)"
    )
    if any(folder.glob("*.parquet")):
        files = quoted(folder / "*.parquet")
        connection.execute(f"insert into known by name from read_parquet({files}, union_by_name = true)")
    connection.execute(f"""create table news as
        select {COLUMNS} from warehouse."{schema}".audience_changes
        union all
        select as_of_date, audience, 'built', null, null, null, holdout_share
        from warehouse."{schema}".audience_summary""")
    return connection


def check_state(connection, schema, day):
    """Raise unless the build saw this state as it is: its changes are the changes since the last recorded day."""
    stale = connection.execute(
        f"""select summary.audience from warehouse."{schema}".audience_summary as summary
        left join (select audience, max(as_of_date) as last_day from known where event = 'built' and as_of_date < ?
            group by audience) as recorded using (audience)
        where summary.previous_as_of_date is distinct from recorded.last_day order by 1""",
        [day],
    ).fetchone()
    if stale:
        raise Problem(WRONG, f"the state is not the one that this build read (audience {stale[0]}); run `dbt build` again")


def write(connection, folder, day):
    """Add one file: complete, durable, and only then visible under its name."""
    files = [folder / f"{day}{ending}.parquet" for ending in ("", *(f"-{n}" for n in range(2, 1000)))]
    target = next(file for file in files if not file.exists())
    with written_whole(target) as partial:
        connection.execute(
            f"copy (select {COLUMNS} from unrecorded order by all) to {quoted(partial)} (format parquet, compression zstd)"
        )
    return target


def record(warehouse, state, schema="marts"):
    """Record the last build of `warehouse` in the folder `state`; raise Problem if that must not or cannot be done."""
    if not warehouse.exists():
        raise Problem(USAGE, f"there is no warehouse {warehouse} (LIFECYCLE_WAREHOUSE); run `dbt build`")
    folder = state / "audience_events"
    private()
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder, "record"):
        for left in folder.glob("*.partial"):
            left.unlink()
        connection = connect(warehouse, schema, folder)
        try:
            (day,) = connection.execute(f'select as_of_date from warehouse."{schema}".build_settings').fetchone()
            if connection.execute("select 1 from news where as_of_date != ?", [day]).fetchone():
                raise Problem(WRONG, f"the audiences are not as of {day}, as the rest of the warehouse is; run `dbt build`")
            (last_day,) = connection.execute("select max(as_of_date) from known").fetchone()
            if last_day and last_day > day:
                print(f"nothing recorded: the state is as of {last_day} already, this build as of {day}")
                return
            check_state(connection, schema, day)
            connection.execute(
                "create table unrecorded as from news "
                "where audience not in (select audience from known where as_of_date = ?)",
                [day],
            )
            counts = dict(connection.execute("select event, count(*) from unrecorded group by event").fetchall())
            if not counts:
                print(f"nothing recorded: the state knows {day} already")
                return
            target = write(connection, folder, day)
        finally:
            connection.close()
    print(
        f"recorded {counts.get('entered', 0)} entered and {counts.get('left', 0)} left of {counts.get('built', 0)} "
        f"audiences as {target}"
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_warehouse(parser)
    parser.add_argument("--state", type=Path, default=os.environ.get("LIFECYCLE_STATE", "state"))
    add_schema(parser)
    options = parser.parse_args(arguments)
    return run_script(
        "record_state", lambda: record(options.warehouse, options.state, options.schema),
        warehouse=options.warehouse, state=options.state,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
