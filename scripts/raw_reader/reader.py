"""Raw data into the schema raw_import: what is where, what is wrong with it, and then the import itself."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from common import temporary_folder

from . import erasures
from .databases import Databases
from .folder import locate
from .formats import CsvFile, JsonFile, Lacking, ParquetFiles, Typed
from .tables import Table, as_raw, as_text, identifier, json_path, listed, literal, trimmed
from .text import Unreadable

SCHEMA = "raw_import"
MARK = "Made anew by every build of customer_lifecycle in the project %s; whatever else is put here is lost."
FEW, SHARE = 3, 0.01  # unreadable lines: more of them, and a larger share of all lines, stop the build


@dataclass
class Fault:
    """What is wrong, as one line. `about`: a file, a column that it lacks, too many lines that cannot be read, or no rows."""

    table: str
    text: str
    about: str = "file"


@dataclass
class Result:
    """What came of it, by the tables' identifiers."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)  # the columns of a file that lacks one


def read_raw(
    query, declared, folder, wanted, *, state=None, databases=(), only_look=False, goes_on=False, schema=SCHEMA, project=""
):
    """Make <schema>.<identifier> for every declared table; `query` runs SQL and returns its rows.

    `declared` are tables as dbt's graph has them, `wanted` the sources in use: the tables of others are empty. `state` is the
    same for the state: (tables, folder, what erasures.forget is asked); `databases` the variable raw_databases and what profiles.yml has of them. All faults
    are collected, and with any of them nothing is touched. With `goes_on` the sound tables are made all the same, and a table
    that lacks a required column is made without it.
    """
    databases = Databases(query, *(databases or ({}, {})))
    tables = [Table(table, schema) for table in declared]
    reader = Reader(query, tables, Path(folder), wanted, databases=databases, schema=schema, mark=MARK % project)
    try:
        reader.run(state, only_look, goes_on)
    finally:
        databases.close()
    return reader.result


class Reader:
    def __init__(self, query, tables, folder, wanted, *, databases, schema, mark):
        self.query, self.tables, self.folder, self.wanted, self.databases = query, tables, folder, wanted, databases
        self.schema, self.mark = schema, mark
        self.in_schema = identifier(schema)
        self.by_name = {(table.source, table.name): table for table in tables}
        self.result, self.views, self.parts = Result(), {}, {}

    def run(self, state, only_look, goes_on):
        self.check_schema()
        plans = self.plans()
        if only_look or any(not goes_on or not fault.table for fault in self.result.faults):
            return
        self.make_schema()
        with temporary_folder("lifecycle_raw_reader_") as scratch:
            for table, files, missing in sorted(plans, key=lambda plan: self.depth(plan[0])):
                self.make(table, files, missing, scratch)
        erased = erasures.forget(self.query, [table for table, *_ in plans], self.views, self.schema, state[2]) if state else {}
        self.record_parts(erased)
        for table in state[0] if state else ():
            self.make_state(Table(table, self.schema), Path(state[1]))

    def fault(self, table, wrong, about="file"):
        self.result.faults.append(Fault(table, wrong, about))

    # --- before anything is touched ---------------------------------------------------------------------

    def check_schema(self):
        """A schema raw_import that somebody else made, another project with this package too, is left alone."""
        here = f"schema_name = {literal(self.schema)} and database_name = current_database()"
        comment = self.query(f"select comment from duckdb_tables() where table_name = 'files' and {here}")
        if self.query(f"select 1 from duckdb_schemas() where {here}") and comment != [(self.mark,)]:
            remedy = "rename it, take another LIFECYCLE_WAREHOUSE, or set the variable prefix_schemas"
            self.fault("", f"the warehouse has a schema {self.schema} that this project did not make; {remedy}")

    def plans(self):
        """[(table, its Files, names of required columns that they lack)] of every table that can be made."""
        copied = {table.source: [origin.instance for origin in self.databases.of(table)] for table in self.tables}
        copied = {source: instances for source, instances in copied.items() if instances and source in self.wanted}
        places, faults, warnings = defaultdict(list), [], []
        if self.folder.is_dir() and any(self.folder.iterdir()):
            places, faults, warnings = locate(self.folder, self.tables, self.wanted, copied)
        elif set(self.wanted) - set(copied):
            where = f"no raw data in '{self.folder}' (LIFECYCLE_RAW)"
            self.fault("", f"{where}; `make demo` makes a demo, README 'Your own data' says what goes there")
            return []
        self.result.warnings += [Fault(table, said, "parts") for table, said in warnings]
        for origin in self.databases.origins:
            if origin not in (own for table in self.tables if table.source in copied for own in self.databases.of(table)):
                self.fault("", f"variable raw_databases: '{origin.key}' is no source in use")
        for table, wrong in faults:
            self.fault(table, wrong)
        broken = {table for table, _ in faults}
        plans = []
        for table in self.tables:
            files = [one for place in places[table.identifier] for one in self.files_of(table, place)]
            for origin in self.databases.of(table) if table.source in copied else ():
                try:
                    files += self.databases.tables(table, origin, [other for other in self.tables if other.source == table.source])
                except Unreadable as unreadable:
                    self.fault(table.identifier, f"{origin.said}: {unreadable}")
                    broken.add(table.identifier)
            looks = [self.look(table, one) for one in files]
            if table.identifier not in broken and None not in looks:
                plans.append((table, files, set().union(*looks)))
        return plans

    def files_of(self, table, place):
        if place.format == "Parquet":
            return [ParquetFiles(self.query, table, place.files, place.instance)]
        kind = CsvFile if place.format == "CSV" else JsonFile
        return [kind(self.query, table, [path], place.instance) for path in place.files]

    def look(self, table, files):
        """The names of required columns that the files lack; None if they cannot be read."""
        try:
            files.look()
        except Lacking as lacking:
            for line in lacking.lines:
                self.fault(table.identifier, line, "column")
            self.result.names.setdefault(table.identifier, lacking.names)
            return {column.name for column in files.missing}
        except Unreadable as unreadable:
            self.fault(table.identifier, f"{unreadable.path or files.path}: {unreadable}")
            return None
        except duckdb.Error as error:
            self.fault(table.identifier, f"{files.path}: cannot be read; {str(error).splitlines()[0][:120]}")
            return None
        return set()

    # --- the import -------------------------------------------------------------------------------------

    def make_schema(self):
        self.query(f"drop schema if exists {self.in_schema} cascade")
        self.query(f"create schema {self.in_schema}")
        file = "source varchar, table_name varchar, instance varchar, file_name varchar"
        self.query(f"create table {self.in_schema}.files ({file}, records bigint, unreadable_lines bigint, loaded_at timestamp)")
        self.query(f"comment on table {self.in_schema}.files is {literal(self.mark)}")
        self.query(f"create table {self.in_schema}.unreadable_lines ({file}, line_number bigint, reason varchar, raw_line varchar)")

    def make(self, table, files, missing, scratch):
        columns = {column.name: column.type for column in table.columns if column.name not in missing}
        nested = self.nested(table, columns, {one.instance for one in files})
        if not (files or nested):
            nulls = ", ".join(f"cast(null as {kind}) as {identifier(name)}" for name, kind in {**columns, "instance": "varchar"}.items())
            self.query(f"create view {table.relation} as select {nulls} where false")
            return
        if not nested and all(isinstance(one, ParquetFiles) for one in files):
            self.views[table.identifier] = " union all ".join(one.view(columns) for one in files)
            self.parts[table.identifier] = [part for one in files for part in one.parts(columns)]
            self.query(f"create view {table.relation} as {self.views[table.identifier]}")
        elif not nested and all(isinstance(one, Typed) for one in files):
            self.query(f"create table {table.relation} as {' union all '.join(one.rows(columns) for one in files)}")
        else:  # text files: everything is text
            texts = ", ".join(f"{identifier(name)} varchar" for name in [*columns, "instance"])
            self.query(f"create table {table.relation} ({texts})")
            for one in files:
                if isinstance(one, Typed):
                    self.query(f"insert into {table.relation} {one.rows(columns, as_text)}")
        loaded_by = [(part, one) for one in files for part in self.load(one, columns, scratch)]
        loaded = [part for part, _ in loaded_by]
        self.result.files[table.identifier] = [part.path for part in loaded]
        if nested:
            self.load_nested(table, nested)
        self.judge(table, loaded)
        for part, one in loaded_by:
            self.record(table, part, one.loaded_at(part.path))
        self.find_repeated(table, loaded)
        if table.is_never_empty and not self.query(f"select 1 from {table.relation} limit 1"):
            self.fault(table.identifier, f"{loaded[0].path}: the file has no rows; was its export interrupted?", "rows")

    # --- rows within rows -------------------------------------------------------------------------------

    def parent(self, table):
        return self.by_name.get((table.source, table.nested_in[0]))

    def depth(self, table):
        parent = self.parent(table)
        return 1 + self.depth(parent) if parent else 0

    def nested(self, table, columns, with_files):
        """SQL of the rows that another table holds as lists in its rows, but for instances that have files of their own; or none."""
        parent = self.parent(table)
        if not parent or parent.identifier not in self.result.files:
            return None
        kinds = {name: kind for name, kind, *_ in self.query(f"describe {parent.relation}")}
        column = identifier(table.nested_in[1])
        is_text = kinds[table.nested_in[1]] == "VARCHAR"
        json = column if is_text else f"to_json({column})"
        has_file = "coalesce(instance, '') in " + listed(name or "" for name in with_files).replace("[", "(").replace("]", ")")
        rows = f"(from {parent.relation} where {column} is not null{f' and not {has_file}' if with_files else ''})"
        is_list = f"case when json_valid({json}) then json_type({json}) end = 'ARRAY'"
        ((lists, others),) = self.query(f"select count(*) filter (where {is_list}), count(*) filter (where not coalesce({is_list}, false)) from {rows}")
        if others:
            text = f"{self.result.files[parent.identifier][0]}: {others:,} values of '{table.nested_in[1]}' are no JSON lists; export them as JSON"
            self.fault(table.identifier, text)
        values = []
        for declared in table.columns:
            if declared.name not in columns:
                continue
            paths = [[name] for name in declared.spellings] + declared.paths
            value = f"coalesce({', '.join(f'json_extract_string(element, {literal(json_path(path))})' for path in paths)})"
            if declared.outer:
                value = f"cast({as_raw(identifier(declared.outer), kinds[declared.outer])} as varchar)"
            values.append("cast(position as varchar)" if declared.is_position else trimmed(value))
        elements = f"json_extract({json}, '$[*]')"
        unnested = f"select *, unnest({elements}) as element, generate_subscripts({elements}, 1) as position from {rows} where {is_list}"
        counts = f"select instance, sum(json_array_length({json})) as records from {rows} where {is_list} group by instance"
        return (f"select {', '.join(values)}, instance from ({unnested})", counts) if lists else None

    def load_nested(self, table, nested):
        """Insert them, and say where they are from."""
        rows, counts = nested
        self.query(f"insert into {table.relation} {rows}")
        self.result.files[table.identifier] += self.result.files[self.parent(table).identifier]
        place = f"{literal(table.source)}, {literal(table.name)}, instance, {literal('.'.join(table.nested_in))}"
        parent = f"source = {literal(table.source)} and table_name = {literal(self.parent(table).name)}"
        loaded_at = f"(select max(loaded_at) from {self.in_schema}.files where {parent})"
        self.query(f"insert into {self.in_schema}.files select {place}, records, 0, {loaded_at} from ({counts})")

    def load(self, files, columns, scratch):
        try:
            return files.load(columns, scratch)
        except Unreadable as unreadable:
            self.fault(files.table.identifier, f"{files.path}: {unreadable}")
        except duckdb.Error:  # its message may quote values
            self.fault(files.table.identifier, f"{files.path}: DuckDB cannot read it; export it again")
        return []

    def judge(self, table, loaded):
        """More than a few lines that cannot be read stop the build: who knows what is in them."""
        records, unreadable = sum(part.records for part in loaded), sum(len(part.unreadable) for part in loaded)
        if not unreadable:
            return
        first = next(part for part in loaded if part.unreadable)
        number, reason, _ = first.unreadable[0]
        are_many = unreadable > max(FEW, SHARE * records)
        said = f"{first.path}: {unreadable:,} of {records:,} lines cannot be read{', more than 1 %' * are_many}; the first is line {number} ({reason})"
        if len(loaded) > 1:
            said += f", in {sum(map(bool, (part.unreadable for part in loaded)))} of {len(loaded)} files"
        (self.result.faults if are_many else self.result.warnings).append(Fault(table.identifier, said, "lines"))

    def record(self, table, part, loaded_at):
        """What was read of a file, and the lines that were not, in the tables of the schema that say so."""
        name = part.path.removeprefix(f"{self.folder}/")
        file = [table.source, table.name, part.instance, name]
        values = [*file, part.records, len(part.unreadable), loaded_at]
        self.query(f"insert into {self.in_schema}.files values (?, ?, ?, ?, ?, ?, ?)", values)
        if part.unreadable:
            numbers, reasons, lines = map(list, zip(*part.unreadable, strict=True))
            insert = f"insert into {self.in_schema}.unreadable_lines select ?, ?, ?, ?, unnest(?), 'line: ' || unnest(?), unnest(?)"
            self.query(insert, [*file, numbers, reasons, lines])

    def record_parts(self, erased):
        """The files that views read, each with a version: macros/by_part.sql reads again only what has another one."""
        self.query(f"create table {self.in_schema}.parts (relation varchar, part varchar, version varchar)")
        for name, parts in self.parts.items():
            files, versions = map(list, zip(*parts, strict=True))
            insert = f"insert into {self.in_schema}.parts select ?, unnest(?), md5(unnest(?) || ?)"
            self.query(insert, [name, files, versions, erased.get(name, "")])

    def find_repeated(self, table, loaded):
        """Warn of parts with the same rows: they would count twice."""
        alike = defaultdict(list)
        for part in loaded:
            alike[part.instance, part.extremes, part.records - len(part.unreadable)].append(part)
        for (*_, rows), parts in alike.items():
            by_content = defaultdict(list)
            for part in parts if rows and len(parts) > 1 else ():
                (digest,) = self.query(f"select bit_xor(hash(part)), sum(hash(part)) from ({part.rows}) as part")
                by_content[digest].append(part.path)
            for one, *others in by_content.values():
                if others:
                    same = ", ".join(Path(path).name for path in others)
                    text = f"{one}: the same rows are in {same}; if they are the same purchases, keep one file"
                    self.result.warnings.append(Fault(table.identifier, text, "parts"))

    def make_state(self, table, folder):
        """A view of all Parquet files of a folder of the state, in the declared types."""
        files = sorted((folder / table.state_folder).glob("*.parquet"))
        source = f"from read_parquet({listed(files)}, union_by_name = true)"
        present = {name for name, *_ in self.query(f"describe select * {source}")} if files else set()
        values = ", ".join(
            f"cast({identifier(column.name) if column.name in present else 'null'} as {column.type}) as {identifier(column.name)}"
            for column in table.columns
        )
        self.query(f"create view {table.relation} as select {values} {source if files else 'where false'}")
