"""The files of a table by their format: which of its columns they have, and how their rows come into its relation.

`look` finds out what is there and what is wrong with it, `load` inserts the rows of a text file into the table's relation.
"""

import itertools
import json
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from . import text
from .folder import stem
from .tables import as_raw, from_columns, identifier, is_data, json_path, listed, literal, trimmed

SAMPLE = 1000  # lines of JSON that are looked at for keys
KEPT = 10_000  # letters of an unreadable line
LOADERS = ("_fivetran_synced", "_airbyte_extracted_at", "_airbyte_emitted_at", "_sdc_batched_at", "_dlt_loaded_at")  # when a row was loaded
PATH = "raw_reader_path"  # the column with the path of a Parquet file


class Lacking(Exception):
    """Required columns are missing: the lines that say so, and the names that the file has."""

    def __init__(self, lines, names):
        super().__init__(lines)
        self.lines, self.names = lines, names


@dataclass
class Loaded:
    """What came of one file or table of a database."""

    path: str
    instance: str | None
    records: int
    unreadable: list  # (line number, reason, line)
    rows: str  # SQL of its rows
    extremes: str | None = None  # other ones, other rows


class Files:
    """One text file, or all Parquet files, of a table and instance. After `look`, `select` has the SQL of each column there is."""

    def __init__(self, query, table, paths, instance):
        self.query, self.table, self.paths, self.path, self.instance = query, table, paths, paths[0], instance
        self.select, self.missing, self.loaders = {}, [], []

    def choose(self, present):
        """Fill `select` and `missing` from the columns {lower case: (name, type)} of the files."""
        self.select, self.missing = {}, []
        self.loaders = [present[name][0] for name in LOADERS if name in present]
        for column in self.table.columns:
            found = from_columns(column, present, self.type_of)
            if column.name == self.table.file_name_column:
                self.select[column.name] = (self.file_name(), "VARCHAR")
            elif found:
                self.select[column.name] = found
            elif column.is_required:
                self.missing.append(column)

    def loaded_at(self, path):
        """When the rows of a file came here, in UTC: what the loader says of the newest, else the time of the file; or None."""
        for loader in self.loaders:
            ((loaded_at,),) = self.query(f"select max(timezone('UTC', try_cast({identifier(loader)} as timestamptz))) from {self.source_of(path)}")
            if loaded_at:
                return loaded_at
        file = Path(path)
        return datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None, microsecond=0) if file.is_file() else None

    def source_of(self, path):
        return self.source

    def lacks(self, column, names):
        return f"{self.path}: required column '{column.name}' is missing; found: {', '.join(names)}"

    def type_of(self, sql):
        return None

    def file_name(self):
        return literal(stem(self.path))

    @property
    def instance_sql(self):
        return literal(self.instance) if self.instance else "cast(null as varchar)"


# --- text -----------------------------------------------------------------------------------------------


class TextFile(Files):
    before = 0  # records that are no rows: the header

    def load(self, columns, scratch):
        """Insert the rows into the table's relation; [Loaded]."""
        records, unreadable = self.read(columns, scratch)
        names = ", ".join(identifier(name) for name in columns if name != self.table.file_name_column)
        last = self.first_row + records - len(unreadable) - 1
        rows = f"select {names} from {self.table.relation} where rowid between {self.first_row} and {last}"
        return [Loaded(str(self.path), self.instance, records, unreadable, rows)]

    def read(self, columns, scratch):
        """(records, [(line number, reason, line)] of those that cannot be read)

        If what DuckDB read is not what the bytes hold, or it cannot read the file as it is, a copy of the good records is read.
        """
        if self.survey.is_plain:
            rows, rejects = self.insert(columns, self.source(self.path))
            if rows == self.survey.records - self.before and not rejects:
                return rows, []
            good, bad = self.judge()
            if rows == good:
                return good + len(bad), bad
            self.query(f"delete from {self.table.relation} where rowid >= {self.first_row}")
        handle, copy = tempfile.mkstemp(dir=scratch)
        try:
            with os.fdopen(handle, "wb") as file:
                good, bad = self.judge(file)
            rows, rejects = self.insert(columns, self.source(copy, is_copy=True))
        finally:
            os.unlink(copy)
        if rows != good or rejects:
            raise text.Unreadable(f"it has {good:,} records, but {rows:,} can be read; export it again")
        return good + len(bad), bad

    def insert(self, columns, source):
        """(rows inserted, lines that DuckDB rejected)"""
        self.query("drop table if exists reject_errors")
        self.query("drop table if exists reject_scans")
        ((self.first_row,),) = self.query(f"select coalesce(max(rowid) + 1, 0) from {self.table.relation}")
        values = [trimmed(self.select[name][0]) if name in self.select else "null" for name in columns]
        ((rows,),) = self.query(f"insert into {self.table.relation} select {', '.join([*values, self.instance_sql])} from {source}")
        ((rejects,),) = self.query("select count(*) from reject_errors")
        return rows, rejects

    def judge(self, copy=None):
        """(number of good records, [(line number, reason, line)] of the others); the good ones are written into `copy`."""
        good, bad = 0, []
        for number, lines, reason in self.records():
            if reason:
                bad += [(number + n, reason, line[:KEPT].decode(errors="replace")) for n, line in enumerate(lines)]
            else:
                good += 1
                if copy:
                    copy.write(b"\n".join(lines) + b"\n")
        return good, bad


class CsvFile(TextFile):
    def look(self):
        self.survey = text.survey(self.path)
        self.header = text.header(self.path, self.survey, self.table.known)
        self.before, self.width = self.header.records, len(self.header.names)
        names = self.header.columns
        self.choose({name.lower(): (name, "VARCHAR") for name in names})
        if self.missing:
            raise Lacking(self.lines_of_missing(), self.header.names)
        lower = [name.lower() for name in self.header.names]
        for column in self.table.columns:
            doubles = [name for name in column.spellings if lower.count(name.lower()) > 1]
            if doubles:
                raise text.Unreadable(f"two columns are called '{doubles[0]}'; which one is meant?")

    def lines_of_missing(self):
        """What may be a row of data is never shown."""
        names, table = self.header.names, self.table
        if any(name.lower() in table.known for name in names):
            found = [name for name in names if name and not is_data(name)]
            return [self.lacks(column, found) for column in self.missing]
        why = "if they are called otherwise, name them as `aliases` in the source YAML"
        if any(map(is_data, names)):
            why = "its first line looks like a row of data: does the file have a header line?"
        return [f"{self.path}: none of its columns ({len(names)}) is known; {why} Needed: {table.needed}"]

    def source(self, path, is_copy=False):
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self.header.columns)
        return (
            f"read_csv({literal(path)}, auto_detect = false, header = false, skip = {0 if is_copy else self.header.skipped}, "
            f"delim = {literal(self.header.delimiter)}, quote = '\"', escape = '\"', columns = {{{columns}}}, "
            "strict_mode = true, store_rejects = true)"
        )

    def records(self):
        return text.records(self.path, self.survey, self.header)

    def source_of(self, path):
        """The file as it is, also where lines of it cannot be read."""
        return self.source(path).replace("store_rejects = true", "ignore_errors = true")


class JsonFile(TextFile):
    """One JSON object a line. Keys are looked for by their paths in every line, so none is missed that comes late."""

    def look(self):
        self.survey = text.survey(self.path, quote=b"")
        keys = {}
        for number, line in enumerate(itertools.islice(self.lines(), SAMPLE)):
            if number == 0 and line.lstrip().startswith(b"["):
                raise text.Unreadable("it is one JSON array; write one object a line (jq -c '.[]')")
            if is_object(line):
                keys |= {key.lower(): key for key in json.loads(line)}
        self.paths_in_line = []
        for column in self.table.columns:
            own = [[keys.get(name.lower(), name)] for name in column.spellings] + column.paths
            extracted = []
            for path in own:
                self.paths_in_line.append(json_path(path))
                extracted.append(f"found[{len(self.paths_in_line)}]")
            self.select[column.name] = (f"coalesce({', '.join(extracted)})", "VARCHAR")
            if column.is_required and not any(path[0].lower() in keys for path in own):
                self.missing.append(column)
        if self.table.file_name_column:
            self.select[self.table.file_name_column] = (self.file_name(), "VARCHAR")
        if self.missing and keys:
            raise Lacking([self.lacks(column, keys.values()) for column in self.missing], [*keys.values()])

    def lines(self):
        return (line for _, line in text.lines_of(self.path, self.survey) if line.strip())

    def source(self, path, is_copy=False):
        lines = (
            f"read_csv({literal(path)}, auto_detect = false, header = false, delim = '\\x01', quote = '', escape = '', "
            "columns = {'line': 'VARCHAR'}, store_rejects = true)"
        )
        found = f"json_extract_string(line, {listed(self.paths_in_line)})"
        return f"(select case when json_valid(line) and json_type(line) = 'OBJECT' then {found} end as found from {lines}) where found is not null"

    def records(self):
        for number, line in text.lines_of(self.path, self.survey):
            if line.strip():
                reason = "longer than 1,900,000 bytes" if len(line) > text.LONGEST else None if is_object(line) else "not a JSON object"
                yield number, [line], reason


def is_object(line):
    """Is a line a JSON object to DuckDB, too: no NaN, no halves of characters?"""

    def refuse(word):
        raise ValueError(word)

    try:
        value = json.loads(line, parse_constant=refuse)
        if b"\\u" in line:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


# --- typed columns --------------------------------------------------------------------------------------


class Typed(Files):
    """What has columns with types of its own, which the raw relation keeps; `source` is SQL that reads it."""

    source = ""

    def type_of(self, sql):
        try:
            return self.query(f"describe select {sql} as nested from {self.source}")[0][1]
        except duckdb.Error:
            return None

    def rows(self, columns, express=as_raw, more=""):
        """SQL of the rows, with a typed null for what is not there; `more` are further columns."""
        values = [
            f"{express(*self.select[name]) if name in self.select else f'cast(null as {kind})'} as {identifier(name)}"
            for name, kind in columns.items()
        ]
        return f"select {', '.join([*values, self.instance_sql])} as instance{more} from {self.source}"


KINDS = {"TIMESTAMP WITH TIME ZONE": "instant", "TIMESTAMP": "time", "DATE": "time", "VARCHAR": "text", "JSON": "text"}


def kind_of(type_name):
    """Types that DuckDB makes one without loss have the same kind."""
    if type_name.startswith(("STRUCT", "MAP", "UNION")):
        return "nested"
    if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)", type_name):
        return "number"
    return KINDS.get(type_name.removesuffix("_NS").removesuffix("_MS").removesuffix("_S"), type_name)


class ParquetFiles(Typed):
    """All Parquet files of a table: they stay where they are, and are a view."""

    def look(self):
        of_files = {path: self.columns_of(path) for path in self.paths}
        lacking = []
        for self.path, present in of_files.items():
            self.choose(present)
            names = [name for name, _ in present.values()]
            lacking += [(column, self.lacks(column, names), names) for column in self.missing]
        for column in self.table.columns:
            self.compare(column, of_files)
        self.path = self.paths[0]
        try:
            described = self.query(f"describe select * from {self.source}")
        except duckdb.Error as error:
            raise text.Unreadable(f"the parts do not fit together: {str(error).splitlines()[0][:160]}") from None
        self.choose({name.lower(): (name, kind) for name, kind, *_ in described})
        if lacking:
            self.missing = [column for column, _, _ in lacking]
            raise Lacking([line for _, line, _ in lacking], lacking[0][2])

    def columns_of(self, path):
        """{lower case: (name, type)} of one file."""
        if not path.stat().st_size:
            raise text.Unreadable("the file is empty", path)
        try:
            described = self.query(f"describe select * from read_parquet({literal(path)})")
        except duckdb.Error as error:
            raise text.Unreadable(f"cannot be read; is it cut off? {str(error).splitlines()[0][:120]}", path) from None
        return {name.lower(): (name, kind) for name, kind, *_ in described}

    def compare(self, column, of_files):
        """A column that is text in one part and a number in another is a mistake, unless it is null throughout one of them."""
        for spelling in [*column.spellings, *(path[0] for path in column.paths)]:
            there = [(path, *present[spelling.lower()]) for path, present in of_files.items() if spelling.lower() in present]
            if len({kind_of(kind) for _, _, kind in there}) < 2:
                continue
            there = [part for part in there if not self.is_null(*part[:2])]
            for path, name, kind in there:
                first, _, other = there[0]
                if kind_of(kind) != kind_of(other):
                    wrong = f"column '{name}' is {kind} here, but {other} in {first.name}; export the parts alike"
                    raise text.Unreadable(wrong, path)

    def is_null(self, path, name):
        return not self.query(f"select 1 from read_parquet({literal(path)}) where {identifier(name)} is not null limit 1")

    def view(self, columns):
        """SQL of the rows, and of the file that each is from."""
        return self.rows(columns, more=f", {PATH} as raw_file")

    @property
    def source(self):
        return f"read_parquet({listed(self.paths)}, union_by_name = true, filename = {literal(PATH)})"

    def source_of(self, path):
        return f"read_parquet({literal(path)})"

    def file_name(self):
        return f"regexp_replace(parse_filename({PATH}), '(?i)\\.parquet$', '')"

    def parts(self, columns):
        """[(file, its version)]: another one where the file or the way in which it is read has changed."""
        shape = self.view(columns).replace(listed(self.paths), "")
        stats = [(str(path), path.stat()) for path in self.paths]
        return [(path, f"{stat.st_size} {stat.st_mtime_ns} {shape}") for path, stat in stats]

    def load(self, columns, scratch):
        """[Loaded]; nothing is inserted, since a relation reads the files by `rows`."""
        counted = dict(self.query(f"select file_name, num_rows from parquet_file_metadata({listed(self.paths)})"))
        columns_of = f"select file_name, concat_ws(' ', path_in_schema, stats_min_value, stats_max_value) as c from parquet_metadata({listed(self.paths)})"
        extremes = dict(self.query(f"select file_name, md5(string_agg(c, ' ' order by c)) from ({columns_of}) group by 1"))
        names = ", ".join(self.select[name][0] for name in columns if name in self.select and name != self.table.file_name_column)
        rows = f"select {names} from {self.source} where {PATH} = "
        return [Loaded(str(path), self.instance, counted[str(path)], [], rows + literal(path), extremes.get(str(path))) for path in self.paths]
