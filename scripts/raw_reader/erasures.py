"""Erased people in raw data: what names them is replaced before anything reads it.

State (LIFECYCLE_STATE/erasures, written by scripts/erase.py) holds keyed hashes of the ids and addresses of erased people, and a
pseudonym for each. In every raw table that holds one of them

    an id is replaced by its pseudonym, so that orders, events and messages still are one person's;
    a row of the person loses every direct and sensitive value, and its e-mail address is replaced by the pseudonym;
    in rows of others the address is emptied: it stays blocked, whoever comes with it.

Clear values are compared in a database in memory, which ends with the run; the relation of a Parquet table becomes a view that
reads it, so it can be queried during a run only.
"""

from pathlib import Path

from keyed_hash import hashed, hashed_sha, read_key, use_key

from .tables import identifier, listed, literal

MEMORY = "erased_values"
# a phone is one whatever a list writes before it: none, 0, 00 or + and the country
DIGITS = "ltrim(regexp_replace({0}, '[^0-9]', '', 'g'), '0')"
PHONES = ("phone", "phone_form")


def forget(query, tables, views, schema, asked):
    """Replace them in the relations of `tables`. views: {identifier: SELECT} of those that are views on files.

    asked: `state_folder` and `key_file`; `email_key`, the SQL of the key of an address `id`; `links`, {source: {instance or "": the shop that its
    customer ids are of}}. How many rows were found is in <schema>.erased_rows. Returns {identifier: digest of what is replaced in it}.
    """
    query(f"create table {identifier(schema)}.erased_rows (source varchar, table_name varchar, person_id varchar, row_count bigint, blocked_rows bigint)")
    files = sorted((Path(asked["state_folder"]) / "erasures").glob("*.parquet"))
    if not files:
        return {}
    run = type("Connection", (), {"execute": staticmethod(query)})
    use_key(run, read_key(asked["state_folder"], asked["key_file"]))
    query(f"attach if not exists ':memory:' as {MEMORY}")
    query(f"""create or replace table {MEMORY}.erased as
        with state as (from read_parquet({listed(files)}, union_by_name = true))
        select kind, key_hash, max_by(pseudonym, (erased_at, request)) filter (event = 'erased') as pseudonym,
            max_by(person_id, (erased_at, request)) filter (event = 'erased') as person_id, max_by(event, (erased_at, request)) = 'lifted' as is_lifted
        from state group by kind, key_hash""")
    query(f"create or replace table {MEMORY}.met (place varchar, value varchar, instance varchar, pseudonym varchar, person_id varchar, is_lifted boolean)")
    for table in tables:
        Raw(query, table, schema, asked["links"].get(table.source, {}), asked["email_key"]).forget(views.get(table.identifier))
    query(f"""update {identifier(schema)}.unreadable_lines set raw_line = null
        where exists (select 1 from {MEMORY}.met where length(value) > 3 and contains(lower(raw_line), lower(value)))""")
    # of random ids alone: a digest of an address could be tried out
    return dict(query(f"""select split_part(place, '.', 1), md5(string_agg(one, ' ' order by one))
        from (select place, concat_ws(' ', place, pseudonym, person_id, is_lifted, count(*)) as one from {MEMORY}.met group by place, pseudonym, person_id, is_lifted) group by all"""))


class Raw:
    """One raw table, and where it names people."""

    def __init__(self, query, table, schema, links, email_key):
        self.query, self.table, self.schema, self.links, self.email_key = query, table, schema, links, email_key
        self.kinds = {name: kind for name, kind, *_ in query(f"describe {table.relation}")}
        self.instance = "r.instance" if "instance" in self.kinds else "null::varchar"
        columns = [column for column in table.columns if column.name in self.kinds]
        self.ids = [column for column in columns if column.person and not column.address]
        self.addresses = [column for column in columns if column.address]
        self.emptied = [column for column in columns if column.pii in ("direct", "sensitive") and column not in [*self.ids, *self.addresses]]

    def forget(self, view):
        met = [column for column in [*self.ids, *self.addresses] if self.meet(column)]
        if not met:
            return
        raw = {column.name: f"r.{identifier(column.name)}" for column in self.table.columns}
        source, own, by_address, values = f"({view})" if view else self.table.relation, [], [], {}
        for n, column in enumerate(met):
            source += (f" {'r' if n == 0 else ''} left join {MEMORY}.met e{n} on e{n}.place = {literal(self.place(column))} "
                       f"and e{n}.value = cast({raw[column.name]} as varchar) and e{n}.instance is not distinct from {self.instance}")
            (by_address if column.address else own if not column.of_another else []).append(f"e{n}.person_id")
        nameless = " and ".join(["true", *(f"{raw[column.name]} is null" for column in self.ids if not column.of_another)])
        address = f"case when {nameless} then coalesce({', '.join([*by_address, 'null'])}) end"
        person = f"coalesce({', '.join([*own, address])})"
        is_blocked = " or ".join(["false", *(f"(not e{n}.is_lifted)" for n, column in enumerate(met) if column.address)])
        for column in [*self.emptied, *self.addresses, *(column for column in self.ids if column.id_of)]:
            values[column.name] = f"case when {person} is null then {raw[column.name]} end"
        for n, column in enumerate(met):
            known = f"e{n}.value is not null and not e{n}.is_lifted"
            values[column.name] = f"coalesce(e{n}.pseudonym, cast({raw[column.name]} as varchar))" if not column.address else (
                f"case when {known} then case when {person} is not null then e{n}.pseudonym end when {person} is null then {raw[column.name]} end")
        place = f"{literal(self.table.source)}, {literal(self.table.name)}"
        self.query(f"""insert into {identifier(self.schema)}.erased_rows
            select {place}, person_id, count(*) filter (where person_id is not null), count(*) filter (where person_id is null and is_blocked)
            from (select {person} as person_id, coalesce({is_blocked}, false) as is_blocked from {source})
            where person_id is not null or is_blocked group by person_id""")
        select = f"select r.* replace ({', '.join(f'{sql} as {identifier(name)}' for name, sql in values.items())}) from {source}"
        if view:
            self.query(f"create or replace view {self.table.relation} as {select}")
            return
        fresh = f"{identifier(self.schema)}.{identifier(self.table.identifier + '__fresh')}"
        self.query(f"create table {fresh} as {select}")
        self.query(f"drop table {self.table.relation}")
        self.query(f"alter table {fresh} rename to {identifier(self.table.identifier)}")

    def place(self, column):
        return f"{self.table.identifier}.{column.name}"

    def meet(self, column):
        """Find the values of a column that are erased people's. Returns whether there are any."""
        keys = self.address_keys(column.address) if column.address else self.id_keys(column)
        forms = " union all ".join(f"select value, instance, {literal(kind)} as kind, {hashed} as key_hash from one where {hashed} is not null" for kind, hashed in keys)
        self.query(f"""insert into {MEMORY}.met
            with r as (select distinct cast({identifier(column.name)} as varchar) as value, {self.instance.removeprefix("r.")} as instance from {self.table.relation}),
            one as (select *, regexp_replace(trim(value), '^([0-9]+)[.]0+$', '\\1') as id from r where value is not null)
            select {literal(self.place(column))}, value, instance, min(pseudonym), min(person_id), bool_and(is_lifted)
            from ({forms}) join {MEMORY}.erased using (kind, key_hash) group by value, instance""")
        return bool(self.query(f"select 1 from {MEMORY}.met where place = {literal(self.place(column))} limit 1"))

    def id_keys(self, column):
        """[(kind, SQL of the hash)] of an id: as the record that it names, of its own system or of the one that its links go to."""
        if column.id_of == "app":
            return [("user_id", hashed("id"))]
        own = "coalesce(instance || ':', '')"
        if column.id_of is None:
            return [("record", hashed(f"{literal(self.table.source)} || ':{person}:' || {own} || id")) for person in column.person]
        found = []
        for instance, linked in self.links.items():
            shop, _, of_shop = (linked or "").partition(":")
            record = f"{literal(shop)} || ':customer:' || {literal(f'{of_shop}:' if of_shop else '')} || id"
            where = f"instance = {literal(instance)}" if instance else "true"
            found += [("record", hashed(f"case when {where} then {record} end"))] * bool(shop)
        return found

    def address_keys(self, kind):
        """The same of an address, as itself or as the SHA-256 that partners list."""
        sha = "case when regexp_full_match(id, '[0-9A-Fa-f]{64}') then lower(id) end"
        if kind == "email":
            return [("email", hashed_sha(f"coalesce({sha}, sha256({self.email_key}))"))]
        digits = DIGITS.format("id")
        forms = (f"'+' || {digits}", digits, f"'0' || {digits}")
        return [("phone", hashed_sha(sha)), *((kind, hashed(f"nullif({form}, '')")) for kind in PHONES for form in forms)]
