"""What a text uses of SQL, and what of it is not on the list allowed_sql.toml."""

import tomllib
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.tokens import TokenType

LIST = Path(__file__).with_name("allowed_sql.toml")
AROUND_A_FUNCTION = (exp.Window, exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)
# what nearly every node has; what is in there is judged by itself
COMMON_PARTS = {"this", "expression", "expressions", "safe"}


class AsWritten(DuckDB):
    """DuckDB's SQL, with functions and types remembered as they are written: `arg_max` is no `max_by`, `varchar` no `string`."""

    class Parser(DuckDB.Parser):
        def _parse_function(self, *arguments, **named):
            written, function = self._curr, super()._parse_function(*arguments, **named)
            node = function
            while isinstance(node, AROUND_A_FUNCTION):
                node = node.this
            if node is not None:
                node.meta["written"] = written.text.lower()
            return function

        def _parse_types(self, *arguments, **named):
            written, type_ = self._curr, super()._parse_types(*arguments, **named)
            if isinstance(type_, exp.DataType):
                type_.meta["written"] = written.text.lower() + "(...)" * (self._prev.token_type == TokenType.R_PAREN)
            return type_


def used(text):
    """The functions, types and constructs of an SQL text, each as (kind, name)."""
    found = set(spellings([token.token_type for token in AsWritten().tokenize(text)]))
    for node in sqlglot.parse_one(text, read=AsWritten).walk():
        name = type(node).__name__
        if isinstance(node, exp.DataType):
            found.add(("type", node.meta.get("written", node.sql())))
        elif "written" in node.meta:
            found.add(("function", node.meta["written"]))
        else:
            found.add(("construct", name))
            for part, value in node.args.items():
                if part not in COMMON_PARTS and value not in (None, False, "", []):
                    is_word = isinstance(value, str)
                    found.add(("construct", f"{name}: {part} {value.lower()}" if is_word else f"{name}: {part}"))
    return found


def spellings(kinds):
    """What sqlglot's trees do not tell from other spellings of it."""
    for before, kind in zip([None, *kinds], kinds, strict=False):
        if kind == TokenType.DCOLON:
            yield "construct", "::"
        if kind == TokenType.FROM and before in (None, TokenType.L_PAREN, TokenType.UNION, TokenType.ALL):
            yield "construct", "from before select"


def allowed():
    """The list: of constructs also which parts they may have."""
    names = tomllib.loads(LIST.read_text())
    pairs = {("function", name) for name in names["functions"]} | {("type", name) for name in names["types"]}
    for construct, parts in names["constructs"].items():
        pairs |= {("construct", construct), *(("construct", f"{construct}: {part}") for part in parts)}
    return pairs
