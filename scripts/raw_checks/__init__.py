"""The checks of raw data before dbt starts.

  raw_files     the raw folder in DuckDB exactly as dbt reads it
  expectations  the suites of the adapters, and the words for what is wrong
  gate          one run over one raw folder
  history       row counts and means of earlier runs
"""

from .gate import Gate
from .history import previous_run, record

__all__ = ["Gate", "previous_run", "record"]
