"""Raw data without what names erased people: scripts/raw_reader/erasures.py on small files, by the project's own source YAML."""

import hashlib
import hmac
import re
import secrets

import duckdb
import pytest

from audience_export import keys
from keyed_hash import read_key
from raw_checks import raw_files
from raw_reader import read_raw
from support import PROJECT

EVE, TOKEN, USER = "e" * 32, "a" * 32, "b" * 32
PSEUDO_MAIL = f"{'c' * 32}@erased.invalid"
ERASED = [  # kind, key, pseudonym, person
    ("record", "shop:customer:17", TOKEN, EVE), ("record", "app:user:u1", USER, EVE), ("user_id", "u1", USER, EVE),
    ("email", "eve@example.com", PSEUDO_MAIL, EVE), ("phone", "+49301234567", None, EVE), ("phone_form", "0301234567", None, EVE),
    ("email", "house@example.com", f"{'d' * 32}@erased.invalid", None),
]  # fmt: skip
CUSTOMERS = "customer_id,email,phone,first_name,last_name,country,postal_code,referred_by_customer_id,created_at,updated_at,acquisition_channel\n"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def read(tmp_path):
    """Read files with a state of erasures; returns a function that gives the rows of a query."""

    def run(files, erased=ERASED, lifted=()):
        state, raw = tmp_path / "state", tmp_path / "raw"
        for path, content in files.items():
            (raw / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                (raw / path).write_text(content, encoding="utf-8")
            else:
                content.to_parquet(str(raw / path))
        (state / "erasures").mkdir(parents=True, exist_ok=True)
        key = read_key(state)
        rows = [("erased", *row) for row in erased] + [("lifted", kind, text, None, None) for kind, text in lifted]
        values = ", ".join(str(("R1", event, person, kind, hmac.digest(key, sha256(text).encode(), "sha256").hex(), pseudonym, None)).replace("None", "null")
                           for event, kind, text, pseudonym, person in rows)  # fmt: skip
        columns = "request, event, person_id, kind, key_hash, pseudonym, old_person_id_hash"
        duckdb.sql(f"copy (select *, timestamp '2026-06-01' as received_at, if(event = 'lifted', timestamp '2026-06-02', timestamp '2026-06-01') as erased_at from (values {values}) as t({columns})) "
                   f"to '{state}/erasures/1.parquet'")  # fmt: skip
        given = {path.partition("/")[0] + "." + path.split("/")[-1].partition(".")[0] for path in files}
        tables = [table for name, table in all_tables().items() if name in given]
        asked = {"state_folder": state, "key_file": None, "email_key": keys.email_key("id"),
                 "links": {source: {"": "shop"} for source in ("app", "esp", "shop")}}  # fmt: skip
        connection = duckdb.connect()

        def query(sql, parameters=None):
            connection.execute(sql, parameters)
            return connection.fetchall() if connection.description else []

        found = read_raw(query, tables, raw, {table["source_name"] for table in tables}, state=([], state, asked))
        assert not found.faults
        return query

    return run


def test_a_row_of_an_erased_person_keeps_what_is_counted_and_loses_what_names(read):
    query = read({"shop/customers.csv": CUSTOMERS
                  + " 17.0 ,New@Example.com,030 1234567,Eve,Adams,DE,10115,5,2024-01-01,2024-01-02,organic\n"
                  + "18,adam@example.com,030 7654321,Adam,Smith,DE,10117,17,2024-01-01,2024-01-02,paid\n"})  # fmt: skip
    rows = query("select customer_id, email, phone, first_name, last_name, country, postal_code, referred_by_customer_id, acquisition_channel "
                 "from raw_import.shop_customers order by acquisition_channel")  # fmt: skip
    assert rows == [(TOKEN, None, None, None, None, "DE", None, "5", "organic"),
                    ("18", "adam@example.com", "030 7654321", "Adam", "Smith", "DE", "10117", TOKEN, "paid")]  # fmt: skip


def test_a_subscription_of_an_erased_person_is_of_their_pseudonym(read):
    header = "subscription_id,customer_id,plan,price,interval,started_at\n"
    query = read({"shop/subscriptions.csv": header + "s1,17,Basic,10,month,2024-01-01\ns2, 17.0,Large,30,year,2024-02-01\ns3,18,Basic,10,month,2024-01-01\n"})
    assert query("select subscription_id, customer_id, plan from raw_import.shop_subscriptions order by 1") == [
        ("s1", TOKEN, "Basic"), ("s2", TOKEN, "Large"), ("s3", "18", "Basic")]  # fmt: skip
    assert query("select table_name, person_id, row_count from raw_import.erased_rows") == [("subscriptions", EVE, 2)]


def test_an_address_is_the_pseudonym_in_rows_of_nobody_else_and_empty_in_rows_of_others(read):
    """Guest orders, messages and consents still are one person's; a new account with the address has none, and is counted."""
    query = read({
        "shop/customers.csv": CUSTOMERS + "99, EVE@example.com ,,Eva,Neu,DE,1,,2026-07-01,2026-07-01,paid\n",
        "esp/consents.csv": "email,phone,user_id,channel,status,source,changed_at\n"
                            f"eve@example.com,,,email,opted_in,shop,2024-01-01\n{sha256('eve@example.com')},,,email,opted_out,shop,2024-01-02\n"
                            ",0049 30 1234567,,sms,opted_in,shop,2024-01-03\n,030-1234567,u1,sms,opted_in,shop,2024-01-04\nx@example.com,,,email,opted_in,shop,2024-01-05\n",
    })  # fmt: skip
    assert query("select customer_id, email, first_name from raw_import.shop_customers") == [("99", None, "Eva")]
    assert query("select email, phone, user_id, channel from raw_import.esp_consents order by changed_at") == [
        (PSEUDO_MAIL, None, None, "email"), (PSEUDO_MAIL, None, None, "email"), (None, None, None, "sms"), (None, None, USER, "sms"),
        ("x@example.com", None, None, "email")]  # fmt: skip
    assert query("select table_name, person_id, row_count, blocked_rows from raw_import.erased_rows order by all") == [
        ("consents", EVE, 4, 0), ("customers", None, 0, 1)]  # fmt: skip


def test_an_address_of_several_people_is_emptied_and_erases_nobody(read):
    query = read({"shop/customers.csv": CUSTOMERS + "5,house@example.com,,Ann,B,DE,1,,2024-01-01,2024-01-01,paid\n"})
    assert query("select customer_id, email, first_name from raw_import.shop_customers") == [("5", None, "Ann")]


def test_an_address_that_was_lifted_may_be_somebodys_again(read):
    query = read({"shop/customers.csv": CUSTOMERS + "99,eve@example.com,,Eva,N,DE,1,,2026-07-01,2026-07-01,paid\n17,eve@example.com,,Eve,A,DE,1,,2024-01-01,2024-01-01,x\n"},
                 lifted=[("email", "eve@example.com")])  # fmt: skip
    assert query("select customer_id, email from raw_import.shop_customers order by created_at desc") == [("99", "eve@example.com"), (TOKEN, None)]


def test_ids_are_found_as_numbers_in_parquet_and_by_the_shop_that_they_are_of(read, tmp_path):
    users = duckdb.sql("select 'u2' as user_id, 17 as customer_id, 'other@example.com' as email, timestamp '2024-01-01' as created_at "
                       "union all select 'u3', 18, 'adam@example.com', timestamp '2024-01-02'")  # fmt: skip
    orders = duckdb.sql("select 1 as order_id, 17 as customer_id, 'eve@example.com' as email, '030 1234567' as phone, 'Eve' as customer_name, 'x' as status, "
                        "timestamp '2024-01-01' as ordered_at, 'EUR' as currency, 5.0 as gross_amount, 5.0 as total_amount, 0.0 as discount_amount")  # fmt: skip
    query = read({"app/users.parquet": users, "shop/orders.parquet": orders})
    assert query("select user_id, customer_id, email from raw_import.app_users order by created_at") == [
        ("u2", TOKEN, None), ("u3", "18", "adam@example.com")]  # fmt: skip
    assert query("select order_id, customer_id, email, phone, customer_name from raw_import.shop_orders") == [(1, TOKEN, PSEUDO_MAIL, None, None)]


def test_ids_of_another_shop_of_the_kind_are_other_peoples(read):
    rows = "17,a@example.com,,A,B,DE,1,,2024-01-01,2024-01-01,x\n"
    query = read({"shop/berlin/customers.csv": CUSTOMERS + rows, "shop/wien/customers.csv": CUSTOMERS + rows},
                 erased=[("record", "shop:customer:wien:17", TOKEN, EVE)])  # fmt: skip
    assert query("select instance, customer_id, email from raw_import.shop_customers order by instance") == [
        ("berlin", "17", "a@example.com"), ("wien", TOKEN, None)]  # fmt: skip


def test_a_line_that_cannot_be_read_is_not_kept_if_it_names_somebody_erased(read):
    many = "".join(f"{n},p{n}@example.com,,P,Q,DE,1,,2024-01-01,2024-01-01,x\n" for n in range(100, 500))
    query = read({"shop/customers.csv": CUSTOMERS + many + "17,eve@example.com,,E,A,DE,1,,2024-01-01,2024-01-01,x\nEVE@example.com,17\n"})
    assert query("select line_number, raw_line from raw_import.unreadable_lines") == [(403, None)]


def test_without_erasures_nothing_is_changed(read):
    query = read({"shop/customers.csv": CUSTOMERS + "17,eve@example.com,,Eve,A,DE,1,,2024-01-01,2024-01-01,x\n"}, erased=[("email", secrets.token_hex(4), None, None)])
    assert query("select customer_id, email, first_name from raw_import.shop_customers") == [("17", "eve@example.com", "Eve")]
    assert query("from raw_import.erased_rows") == []


def test_every_raw_id_of_a_person_says_whose_it_is():
    """By name: what is called a customer, user or contact; and by class: no other id stands alone in a table with addresses."""
    named = re.compile(r"(^|_)(customer|user|contact|euid|klaviyo|external)(_id|_in_shop|$)|^euid$|^email_id$")
    lacking = [f"{name}.{column['name']}" for name, table in all_tables().items()
               for column in table["columns"].values() if named.search(column["name"]) and not column["config"]["meta"].get("person")]  # fmt: skip
    assert lacking == []
    people = {f"{name}.{column['name']}": column["config"]["meta"]["person"] for name, table in all_tables().items()
              for column in table["columns"].values() if column["config"]["meta"].get("person")}  # fmt: skip
    assert set(people.values()) == {"customer", "user", "contact", "email"}
    assert {"shopify.customer.id", "segment.users.id", "mailchimp.subscribed.euid", "klaviyo.profiles.klaviyo_id"} <= people.keys()


def all_tables():
    return raw_files.declared(PROJECT, [path.parent.name for path in PROJECT.glob("models/staging/*/_*__expectations.yml")])
