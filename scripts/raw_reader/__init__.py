"""Raw data as people really have them, read into the schema raw_import of a DuckDB database: one relation per declared table.

dbt calls this before it builds anything (dbt_plugin, from the macro prepare_raw), scripts/validate_raw.py before dbt: what is
read, and what is not, is the same for both.

  folder     which files hold which table
  text       a text file from its bytes: encoding, line ends, header, records
  tables     what is declared, and the SQL that reads it
  reader     the whole: finds, checks, imports, counts
  variables  names of variables that nothing reads
  dbt_plugin how dbt gets here
"""

from .reader import Fault, Result, read_raw

__all__ = ["Fault", "Result", "read_raw"]
