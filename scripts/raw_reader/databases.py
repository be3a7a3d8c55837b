"""Raw tables of a database, copied once per build: of another DuckDB file, of a schema of the warehouse, or of PostgreSQL.

The variable raw_databases says which: {shop: {database: loader, schema: shop_raw}}, or shop/berlin for an instance; without a
database it is a schema of the warehouse itself. What `loader` is stands in profiles.yml with the plugin: `path` of a DuckDB file, which is
attached read-only only while it is copied, or `type: postgres` with libpq's host, port, dbname, user, password, sslmode or
service; what is not given comes from the environment (PGHOST, PGPASSWORD, ...). PostgreSQL is read through psql, as DuckDB's
extension for it cannot be had everywhere.
"""

import csv
import os
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import duckdb

from .folder import holds, names_said
from .formats import CsvFile, Lacking, Loaded, Typed
from .tables import identifier, literal
from .text import Unreadable

LIBPQ = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "service": "PGSERVICE",
}


@dataclass
class Origin:
    """The database of a source, or of one instance of it."""

    key: str
    source: str
    instance: str | None
    database: str | None
    schema: str

    @property
    def said(self):
        return ".".join(filter(None, [self.database, self.schema]))


class Databases:
    """All databases of one import; `chosen` is the variable raw_databases, `known` what profiles.yml has of them."""

    def __init__(self, query, chosen, known):
        self.query, self.known, self.opened = query, known or {}, {}
        self.origins = []
        for key, value in (chosen or {}).items():
            source, _, instance = key.partition("/")
            self.origins.append(Origin(key, source, instance or None, value.get("database"), value["schema"]))

    def of(self, table):
        return [origin for origin in self.origins if origin.source in (table.source, table.folder)]

    def tables(self, table, origin, siblings):
        """What the database has of a declared table, ready to `look` and `load`; raises Unreadable. `siblings` are all of its source."""
        database = self.open(origin.database)
        names = database.names(origin.schema)
        matches = defaultdict(list)
        for name in names:
            matches[holds(table, Path(name))[0]].append(name)
        found = matches["whole"] or matches["part"]
        if len(matches["whole"]) > 1:
            raise Unreadable(f"two tables for one: {' and '.join(found)}")
        dialects = {other.dialect for other in siblings if any(holds(other, Path(name))[0] for name in names)} - {None}
        if not found and table.is_required and (not dialects or table.dialect in {None, *dialects}):
            raise Unreadable(f"source '{table.source}' needs a table {table.base}; it is not there{names_said(names, table.base)}")
        return [database.table(self.query, table, origin, name) for name in sorted(found)]

    def open(self, name):
        if name not in self.opened:
            settings = self.known.get(name)
            if name is None:
                self.opened[name] = DuckDb(self.query, "'warehouse'" if settings else "current_database()", settings)
            elif settings and settings.get("type") == "postgres":
                self.opened[name] = Postgres(settings)
            elif settings is None and not self.query(f"select 1 from duckdb_databases() where database_name = {literal(name)}"):
                raise Unreadable(f"profiles.yml has no database '{name}'{names_said(sorted(self.known), name)}")
            else:
                self.opened[name] = DuckDb(self.query, literal(name), settings)
        return self.opened[name]

    def close(self):
        for database in self.opened.values():
            database.close()


# --- DuckDB ---------------------------------------------------------------------------------------------


class DuckDb:
    """A DuckDB database: the warehouse, one that profiles.yml attaches, or a file that is attached here, for the time of the copy."""

    def __init__(self, query, name, settings=None):
        self.query, self.is_ours = query, False
        ((self.name, there),) = query(f"select {name}, {name} in (select database_name from duckdb_databases())")
        if there:
            return
        path = Path(settings.get("path") or "")
        if not path.is_file():
            raise Unreadable(f"profiles.yml: there is no file {path}")
        try:
            query(f"attach {literal(path)} as {identifier(self.name)} (read_only)")
        except duckdb.Error as error:
            if "lock" in str(error):
                raise Unreadable(f"another process writes {path}; build when it has finished") from None
            raise Unreadable(f"{path} cannot be attached; {str(error).splitlines()[0][:160]}") from None
        self.is_ours = True

    def names(self, schema):
        here = f"database_name = {literal(self.name)}"
        schemas = [name for (name,) in self.query(f"select schema_name from duckdb_schemas() where {here} and (not internal or schema_name = 'main') order by 1")]
        if schema not in schemas:
            raise Unreadable(f"there is no such schema{names_said(schemas, schema)}")
        both = f"select table_name from duckdb_tables() where {here} and schema_name = {literal(schema)}"
        both += f" union all select view_name from duckdb_views() where {here} and schema_name = {literal(schema)}"
        return [name for (name,) in self.query(both)]

    def table(self, query, table, origin, name):
        return DuckDbTable(query, table, origin, name, self)

    def close(self):
        if self.is_ours:
            self.query(f"detach {identifier(self.name)}")


class DuckDbTable(Typed):
    def __init__(self, query, table, origin, name, database):
        super().__init__(query, table, [f"{origin.said}.{name}"], origin.instance)
        self.source, self.name = ".".join(map(identifier, (database.name, origin.schema, name))), name

    def look(self):
        described = self.query(f"describe select * from {self.source}")
        self.choose({name.lower(): (name, kind) for name, kind, *_ in described})
        if self.missing:
            names = [name for name, *_ in described]
            raise Lacking([self.lacks(column, names) for column in self.missing], names)

    def load(self, columns, scratch):
        ((count,),) = self.query(f"select count(*) from {self.source}")
        names = ", ".join(self.select[name][0] for name in columns if name in self.select)
        return [Loaded(self.path, self.instance, count, [], f"select {names} from {self.source}")]

    def file_name(self):
        return literal(self.name)


# --- PostgreSQL -----------------------------------------------------------------------------------------


class Postgres:
    """A PostgreSQL database, by psql. Passwords go through the environment, never through arguments or files."""

    def __init__(self, settings):
        self.environment = os.environ | {LIBPQ[key]: str(value) for key, value in settings.items() if key in LIBPQ}
        self.environment |= {"PGCLIENTENCODING": "UTF8"}
        self.columns = {}

    def run(self, sql, out):
        """Write what a COPY gives into an open file. Instants come in UTC, with their offset."""
        command = ["psql", "-Xqw", "-v", "ON_ERROR_STOP=1"]
        for part in ("set timezone to 'UTC'", "set datestyle to iso", "set default_transaction_read_only to on", sql):
            command += ["-c", part]
        try:
            done = subprocess.run(command, env=self.environment, stdout=out, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise Unreadable("psql is not installed (Debian: postgresql-client)") from None
        if done.returncode:
            raise Unreadable(f"psql says: {done.stderr.strip().splitlines()[0][:200]}")

    def names(self, schema):
        if schema not in self.columns:
            self.columns[schema] = defaultdict(list)
            asked = f"select table_name, column_name from information_schema.columns where table_schema = {literal(schema)}"
            with tempfile.TemporaryFile("w+", newline="") as out:
                self.run(f"copy ({asked} order by table_name, ordinal_position) to stdout (format csv)", out)
                out.seek(0)
                for table, column in csv.reader(out):
                    self.columns[schema][table].append(column)
        if not self.columns[schema]:
            raise Unreadable("there is no such schema, or nothing in it that this user may read")
        return list(self.columns[schema])

    def table(self, query, table, origin, name):
        return PostgresTable(query, table, origin, name, self)

    def close(self):
        pass


class PostgresTable(CsvFile):
    """A table that psql writes into a CSV file, which is then read like any other."""

    def __init__(self, query, table, origin, name, server):
        super().__init__(query, table, [f"{origin.said}.{name}"], origin.instance)
        self.server, self.schema, self.name = server, origin.schema, name

    def look(self):
        names = self.server.columns[self.schema][self.name]
        self.choose({name.lower(): (name, "VARCHAR") for name in names})
        if self.missing:
            raise Lacking([self.lacks(column, names) for column in self.missing], names)

    def load(self, columns, scratch):
        names = [name for name in self.server.columns[self.schema][self.name] if name.lower() in self.table.known]
        handle, copy = tempfile.mkstemp(dir=scratch, suffix=".csv")
        shown, self.path = self.path, Path(copy)
        try:
            with os.fdopen(handle, "wb") as out:
                source = f"{identifier(self.schema)}.{identifier(self.name)}"
                self.server.run(f"copy (select {', '.join(map(identifier, names))} from {source}) to stdout (format csv, header)", out)
            super().look()
            (loaded,) = super().load(columns, scratch)
        finally:
            os.unlink(copy)
            self.path = shown
        loaded.path = shown
        return [loaded]

    def file_name(self):
        return literal(self.name)
