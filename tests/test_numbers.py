"""Small shops whose right figures are written down: whose time is told, whom an erasure reaches, and how large money may be."""

import hashlib
import hmac
from datetime import datetime
from decimal import Decimal

import pytest

from keyed_hash import read_key
from support import NO_UNIT_TESTS, Warehouse, dbt

ERASED_AND_ASKED = {
    "shop/customers": """customer_id,email,phone,created_at,updated_at
        bounced,bounced@example.com,,2024-01-01 09:00:00,
        second,second@example.com,+4930200,2024-01-01 09:00:00,
        mover,mover@example.com,+4930301,2024-01-01 09:00:00,2024-06-01 09:00:00
        mover2,mover@example.com,+4930302,2024-01-02 09:00:00,2024-01-02 09:00:00
        lodger,lodger@example.com,+4930200,2024-01-01 09:00:00,
        undated,undated@example.com,,2024-01-01 09:00:00,""",
    "shop/orders": """order_id,customer_id,ordered_at,status,currency,gross_amount
        O1,bounced,2024-02-01 10:00:00,completed,EUR,10
        O2,bounced,2024-05-01 10:00:00,completed,EUR,10
        O3,bounced,2024-08-20 10:00:00,completed,EUR,10""",
    "app/users": """user_id,customer_id,email,created_at
        u2,second,other@example.com,2024-01-01 09:00:00""",
    "app/events": """event_id,user_id,event_name,occurred_at
        e1,u2,app_opened,2024-01-01 09:00:00""",
    "esp/consents": """email,phone,user_id,channel,status,changed_at
        ,,u2,push,opted_out,2024-02-01 09:00:00
        other@example.com,,,email,opted_out,2024-02-01 09:00:00
        ,+4930301,,sms,opted_in,2024-01-01 09:00:00
        ,+4930302,,sms,opted_in,2024-05-05 09:00:00
        ,+4930200,,sms,opted_in,2024-05-05 09:00:00
        lodger@example.com,,,email,opted_in,2024-05-05 09:00:00
        undated@example.com,,,email,opted_in,""",
    "esp/suppressions": """email,phone,user_id,channel,reason,suppressed_at
        bounced@example.com,,,email,hard_bounce,2024-03-01 12:00:00
        bounced@example.com,,,,erased,2024-09-01 12:00:00
        second@example.com,,,,erased,2024-09-02 12:00:00""",
}


def build(folder, tables, *selected, **variables):
    for name, text in tables.items():
        path = folder / "raw" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.strip() for line in text.splitlines()) + "\n")
    path = folder / "lifecycle.duckdb"
    # a test of something that is not selected, too, has nothing to read
    dbt("build", *NO_UNIT_TESTS, "--indirect-selection", "cautious", *selected, raw=folder / "raw", warehouse=path, variables=variables)
    return Warehouse(path)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    models = ("--select", "+suppression_list", "+customer_channels", "+customer_stage_history")
    day = {"as_of_date": "2024-12-31", "business_time_zone": "Europe/Berlin"}
    return build(tmp_path_factory.mktemp("asked"), ERASED_AND_ASKED, *models, **day)


def test_who_bounced_before_is_erased_from_the_erasure_on(asked):
    history = asked.rows(
        "select stage, entered_at from marts.customer_stage_history join intermediate.int_profiles using (person_id) "
        "where primary_customer_id = 'bounced' order by entered_at"
    )
    assert [stage for stage, _ in history] == ["lead", "new", "one_time", "repeat", "loyal", "erased"]
    assert history[-1][1] == datetime(2024, 9, 1, 12)


def test_every_address_of_an_erased_person_is_a_hash_on_every_channel(asked):
    erased = {"bounced@example.com", "second@example.com", "other@example.com", "+4930200", "u2"}
    key = read_key(asked.path.with_suffix(".state"))
    listed = asked.rows("select channel, address_hash, address, reason from marts.suppression_list")
    assert {row[1:] for row in listed} == {
        (hmac.new(key, hashlib.sha256(address.encode()).hexdigest().encode(), "sha256").hexdigest(), None, "erased")
        for address in erased
    }
    assert len(listed) == 4 * len(erased)
    assert dict(asked.rows("select suppressed_at, count(*) from marts.suppression_list group by all")) == {
        datetime(2024, 9, 1, 12): 4, datetime(2024, 9, 2, 12): 16
    }  # fmt: skip


def test_the_key_is_private_and_never_made_anew(tmp_path):
    """Hashes by a lost key would match nothing any more, without a word."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "orders.csv").write_text("customer_id,ordered_at,amount\nann,2024-01-01,1\n")
    given = {"raw": tmp_path / "raw", "warehouse": tmp_path / "lifecycle.duckdb", "check": False}
    key = tmp_path / "lifecycle.state" / "key"
    assert dbt("seed", "--select", "channels", variables={"sources": ["orders_file"]}, **given).returncode == 0
    assert key.stat().st_mode & 0o777 == 0o600
    text = key.read_text()
    assert dbt("seed", "--select", "channels", variables={"sources": ["orders_file"]}, **given).returncode == 0
    assert key.read_text() == text
    key.unlink()
    done = dbt("seed", "--select", "channels", variables={"sources": ["orders_file"]}, **given)
    assert done.returncode
    assert f"{key}: the key of the hashes in {key.parent} is missing; restore the file from a backup" in done.stdout
    assert not key.exists()
    elsewhere = tmp_path / "safe" / "key"
    elsewhere.parent.mkdir()
    elsewhere.write_text(text)
    done = dbt("seed", "--select", "channels", variables={"sources": ["orders_file"], "key_file": str(elsewhere)}, **given)
    assert done.returncode == 0 and key.readlink() == elsewhere, "the exporter finds it, too"
    assert text.strip() not in done.stdout


@pytest.mark.parametrize("value", ["Germany", "de", 49])
def test_the_usual_country_is_a_code(tmp_path, value):
    (tmp_path / "raw").mkdir()
    done = dbt("seed", "--select", "channels", raw=tmp_path / "raw", warehouse=tmp_path / "lifecycle.duckdb", check=False,
               variables={"sources": ["orders_file"], "phone_country": value})  # fmt: skip
    assert f"variable phone_country: '{value}' is no ISO 3166-1 code of a country, such as DE" in done.stdout


def test_what_has_no_key_is_listed_by_reason(tmp_path):
    tables = {
        "shop/customers": """customer_id,email,phone,country,created_at
            a,no address,030 901820,,2024-01-01
            b,b@example.com,12,DE,2024-01-01
            c,c@example.com,030 901820,DE,2024-01-01
            d,d@example.com,+49 30 901820 ext. 5,,2024-01-01""",
        "shop/orders": "order_id,customer_id,ordered_at,gross_amount",
        "esp/consents": """email,phone,channel,status,changed_at
            ,030 901820,sms,opted_in,2024-01-01
            ,+49 30 901820,sms,opted_in,2024-01-01""",
        "esp/suppressions": "email,channel,reason,suppressed_at",
    }
    marts = build(tmp_path, tables, "--select", "+row_remarks", "+customers", as_of_date="2024-03-31", sources=["shop", "esp"])
    remarks = marts.rows("select source, table_name, row_key, remark from intermediate.row_remarks order by all")
    assert remarks == [
        ("esp", "consents", None, "phone: without its country or not to be dialled, a no to whoever has it and a yes to nobody"),
        ("shop", "customers", "a", "email: no address, there is no @ in it"),
        ("shop", "customers", "a", "phone: a national number, and no country known; variable phone_country may say the usual one; not written to"),
        ("shop", "customers", "b", "phone: no phone number; not written to"),
        ("shop", "customers", "d", "phone: letters or an extension beside the number; not written to"),
    ]
    reach = dict(marts.rows("select primary_customer_id, can_sms from marts.customers"))
    assert reach == {"a": False, "b": False, "c": True, "d": False}


def test_consent_is_of_the_address_that_is_used(asked):
    reach = {
        row[:2]: row[2:]
        for row in asked.rows(
            "select primary_customer_id, channel, can_contact, consented_at, blocked_reason "
            "from marts.customer_channels join intermediate.int_profiles using (person_id)"
        )
    }
    assert reach["mover", "sms"] == (True, datetime(2024, 1, 1, 9), None)
    assert reach["undated", "email"] == (True, None, None)
    # who shares a phone with an erased person is not called on it, and is written to as before
    assert reach["lodger", "sms"] == (False, datetime(2024, 5, 5, 9), "erased")
    assert reach["lodger", "email"] == (True, datetime(2024, 5, 5, 9), None)


def test_there_is_room_for_a_trillion(tmp_path):
    """Lines, refunds, rates, tiers, CLV and campaign figures included: forint, yen and rupiah have such amounts."""
    trillion = "999999999999.9999"
    marts = build(
        tmp_path,
        {
            "shop/customers": "customer_id,created_at\nann,2024-01-01\nbob,2024-01-01",
            "shop/orders": "order_id,customer_id,ordered_at,currency,gross_amount,discount_amount\n"
            f"1,ann,2024-02-01,USD,{trillion},\n2,ann,2024-02-02,EUR,{trillion},0.0001\n3,bob,2024-02-02,EUR,1500000,",
            "shop/order_items": f"order_id,line_number,product_id,quantity,unit_price\n1,1,a,3,333333333333.3333\n2,1,a,1,{trillion}\n2,2,b,2,{trillion}",
            "shop/refunds": f"refund_id,order_id,refunded_at,amount\nr,2,2024-02-03,{trillion[:-1]}8",
        },
        "--exclude-resource-type", "test", as_of_date="2024-03-31", sources=["shop"], points_per_unit=1000,
    )  # fmt: skip
    (rate,) = marts.row("select rate from intermediate.int_exchange_rates where currency = 'USD' and valid_from = date '2024-01-01'")
    dollars = (Decimal(trillion) * rate).quantize(Decimal("0.0001"))
    assert marts.rows("select order_id, gross_amount, net_amount from marts.orders order by 1") == [
        ("1", dollars, dollars), ("2", Decimal(trillion), Decimal(0)), ("3", Decimal(1500000), Decimal(1500000))
    ]  # fmt: skip
    assert marts.row("select average_order_value from marts.customers where primary_customer_id = 'ann'") == (
        (dollars / 2).quantize(Decimal("0.0001"), "ROUND_HALF_UP"),
    )
