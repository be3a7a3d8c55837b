"""What every column of a query is made of, and so how personal it is at least, read from compiled SQL.

Only values count: that a row is there, and in which place, tells of what decided it, too, but names nobody. A value is as
personal as the most personal part of it, unless LOWERED says what is made of it.
"""

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

CLASSES = ("none", "id", "direct", "sensitive")  # each more personal than the one before
# what says no more than yes or no, how many, which place, how long, or about when
LOWERED = {
    "a test": (exp.Predicate, exp.Connector, exp.Not, exp.LogicalOr, exp.LogicalAnd),
    "a count": (exp.Count, exp.CountIf, exp.Length),
    "a place in an order": (exp.RowNumber, exp.Rank, exp.DenseRank),
    "a time between": (exp.DateDiff, exp.TimestampDiff),
    "a period": (exp.DateTrunc, exp.TimestampTrunc, exp.Year, exp.Month),
}
NOTHING = tuple(kind for kinds in LOWERED.values() for kind in kinds)
# what else they take decides, or is compared, and is not in the value
FIRST_ALONE = (exp.Window, exp.Filter, exp.WithinGroup, exp.ArgMax, exp.ArgMin, exp.Nullif, exp.Order, exp.Ordered)
# a hash without a key can be undone by guessing; one with it is an id
HASHES = (exp.SHA, exp.SHA2, exp.SHA2Digest)
KEY = "the key of this installation"


class Lineage:
    """Reads queries in the order of the build.

    relations: {relation: {column: type}} of all of them; stated: {relation: {column: class}}, which counts for later queries.
    """

    def __init__(self, relations, stated):
        schema = {}
        for relation, columns in relations.items():
            folder, name = relation.split(".")
            schema.setdefault(folder, {})[name] = dict(columns)
        self.schema = MappingSchema(schema, dialect="duckdb")
        self.stated, self.made = stated, {}

    def read(self, sql, relation=None):
        """{column: (class, the column that makes it so)} of a query; later queries may read it as `relation`."""
        tree = sqlglot.parse_one(sql, read="duckdb").transform(without_key)
        tree = qualify(tree, schema=self.schema, dialect="duckdb", validate_qualify_columns=False, identify=False)
        known = {}
        for scope in traverse_scope(tree):
            known[id(scope.expression)] = self.columns(scope, known)
        self.made[relation] = known[id(scope.expression)]
        return self.made[relation]

    def columns(self, scope, known):
        if scope.set_operation_scopes:
            first, second = (known[id(branch.expression)] for branch in scope.set_operation_scopes)
            return {name: most(pair) for name, pair in zip(first, zip(first.values(), second.values(), strict=True), strict=True)}
        return {select.alias_or_name: self.value(select, scope, known) for select in scope.expression.selects}

    def value(self, node, scope, known):
        if isinstance(node, exp.Column):
            return self.column(node, scope, known)
        if isinstance(node, NOTHING):
            return ("none", "")
        if isinstance(node, exp.Subquery):
            return most(known[id(node.unnest())].values())
        found = most(self.value(part, scope, known) for part in parts(node))
        return min(found, ("id", found[1]), key=rank) if isinstance(node, HASHES) and KEY in node.sql() else found

    def column(self, column, scope, known):
        while column.table not in scope.sources:  # of a query around this one
            scope = scope.parent
        source = scope.sources[column.table]
        if not isinstance(source, exp.Table):
            return known[id(source.expression)][column.name]
        relation = f"{source.db}.{source.name}"
        stated = self.stated.get(relation, {}).get(column.name)
        return (stated or self.made[relation][column.name][0], f"{relation}.{column.name}")


def parts(node):
    """Those parts of an expression that become its value, and do not decide it."""
    if isinstance(node, exp.Case):
        return [*(branch.args["true"] for branch in node.args["ifs"]), *filter(None, [node.args.get("default")])]
    if isinstance(node, exp.If):
        return [node.args["true"], *filter(None, [node.args.get("false")])]
    return [node.this] if isinstance(node, FIRST_ALONE) else node.iter_expressions()


def without_key(node):
    """The file of the key is no table."""
    is_key = isinstance(node, exp.Subquery) and "read_text(" in node.sql().lower()
    return exp.Literal.string(KEY) if is_key else node


def rank(found):
    return CLASSES.index(found[0])


def most(found):
    return max(found, key=rank, default=("none", ""))
