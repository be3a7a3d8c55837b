"""How dbt gets here: a plugin of dbt-duckdb that profiles.yml names, called by the macro prepare_raw."""

from dbt.adapters.duckdb.plugins import BasePlugin

from common import Problem
from keyed_hash import read_key

from . import read_raw
from .variables import misspelt


class Plugin(BasePlugin):
    def initialize(self, plugin_config):
        self.databases = plugin_config.get("databases") or {}

    def configure_connection(self, conn):
        self.connection = conn

    def configure_cursor(self, cursor):
        cursor.execute("set variable raw_reader = 'is here'")  # so that the macro can tell

    def store(self, target_config):
        """`adapter.store_relation('raw_reader', ...)`: dbt's way to hand a macro's values, here a request, to a plugin."""
        request = target_config.config
        request["problems"] += misspelt(request["project_folder"], request["given"])
        cursor = self.connection.cursor()

        def query(sql, parameters=None):
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

        try:
            result = read_raw(
                query, request["tables"], request["folder"], request["sources"], only_look=bool(request["problems"]),
                state=(request["state_tables"], request["state_folder"], request), databases=(request["databases"], self.databases),
                schema=request["schema"], project=request["project"],
            )
        finally:
            cursor.close()
        request["problems"] += dict.fromkeys(fault.text for fault in result.faults)
        if not request["problems"]:
            try:
                read_key(request["state_folder"], request["key_file"])  # made by the first run; the marts' SQL reads the file
            except Problem as problem:
                request["problems"].append(str(problem))
        request["warnings"] += [warning.text for warning in result.warnings if warning.about != "lines"]
