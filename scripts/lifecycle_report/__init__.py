"""The report page.

  queries    every number, from the published file
  drawings   lines, axes, ribbons
  sections   what the template shows
  words      numbers and names as people read them
  page       the page from its template
"""

from .page import render
from .queries import QUERIES, read

__all__ = ["QUERIES", "read", "render"]
