"""Whatever people are called, in any script: what is written reads back by Python to what the marts hold."""

import csv
import json
import re
import tempfile
import unicodedata
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from published import e164, person
from shop import Shop

NASTY = ["=1+1", "+x", "-x", "@x", "\t=x", " =x", "\uff1dx", "\u00a0=x", "\ufeff@x", 'a"b', "a,b", "a;b", "a\nb", "a\r\nb", "\r", "😀",
         "👩‍👩‍👧", "正体", "ألف", "O'Neil", '""', "'", "\\", "null", "NULL", "0", "007", "%s", "{0}", "$1", "é" * 200, "\x7f", "a\x00b", ""]
text = st.none() | st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
local = st.text(st.characters(categories=("L", "N"), include_characters="=+-@._!#'\"() \u200b"), min_size=1, max_size=8)
email = st.none() | st.builds(lambda a, b: f"{a}@{b}".lower(), local, st.sampled_from(["example.com", "exämple.de", "x", "a..b"])) | text
phone = st.none() | st.sampled_from(["+16505551212", "+1 (650) 555-1212", "(650) 555-1212", "٠١٢٣", "+٤٩١٧٠", "+44 (0)20 7946 0958", "x", "+1", "00"]) | st.from_regex(
    r"\A[+]?[0-9 ()/.-]{4,16}\Z")
row = st.fixed_dictionaries({"email": email, "phone": phone, "first_name": text, "last_name": text, "city": text})
BLANKS = "".join(map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]))


def is_formula(value):
    """The oracle of the formula rule: what a spreadsheet would run, or might after trimming."""
    bare = value.lstrip(BLANKS)
    return value[:1] in ("\t", "\r", "\n") or bare[:1] in set("=+-@\uff1d\uff0b\uff0d\uff20")


def is_email(value):
    found = re.fullmatch(r"([^\s@\"(),:;<>\[\]\\" + BLANKS + r"]{1,64})@(.+)", value)
    labels = found[2].split(".") if found else []
    return bool(found and len(value.encode()) <= 254 and len(labels) > 1 and all(re.fullmatch(r"[\w-]+", x) for x in labels)
                and re.fullmatch(r"[^\W_]{2,}|[\w-]{2,}", labels[-1]) and "_" not in labels[-1])


FORMATS = {"csv": ",", "brevo": ";", "jsonl": None}


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
          phases=[Phase.explicit, Phase.generate])
@given(st.lists(row, min_size=25, max_size=60), st.booleans())
def test_every_file_reads_back_to_the_same_values(values, safe):
    with tempfile.TemporaryDirectory() as name:
        shop = Shop(Path(name))
        people = [person(f"p{i:03}", audiences=("at_risk",), **{k: v for k, v in one.items()}) for i, one in enumerate(values)]
        for i, one in enumerate(people):  # unique, so that no row is a duplicate; some with no usable address at all
            if one["row"]["email"]:
                one["row"]["email"] = one["row"]["email"].replace("@", f"{i}@", 1)
        shop.publish(people, [])
        shop.configure({name: {"channel": "email", "audiences": ["at_risk"], "fields": ["person_id", "first_name", "last_name", "city", "phone"]}
                        for name in FORMATS})
        done = shop(*["--spreadsheet-safe"] * safe)
        assert done.returncode in (0, 5), done.stderr
        for delivery, separator in FORMATS.items():
            found = read(shop, delivery, separator)
            for one in (p["row"] for p in people):
                expected = expect(one, delivery, safe, people)
                assert found.pop(one["person_id"], None) == expected, (delivery, one)
            assert not found


def read(shop, delivery, separator):
    """{person_id: (email, first_name, last_name, city, phone)} of a file, by Python's own readers."""
    if separator is None:
        lines = shop.file(f"{delivery}/at_risk.jsonl").read_bytes().decode().split("\n")
        rows = [json.loads(line) for line in lines if line]
        return {r["person_id"]: tuple(r[k] or "" for k in ("email", "first_name", "last_name", "city", "phone")) for r in rows}
    with open(shop.file(f"{delivery}/at_risk.csv"), encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter=separator, strict=True)
    assert header == (["email", "person_id", "first_name", "last_name", "city", "phone"] if delivery == "csv"
                      else ["EMAIL", "person_id", "FIRSTNAME", "LASTNAME", "city", "SMS"])
    return {r[1]: (r[0], *r[2:]) for r in rows}


def as_written(email):
    text = email if email and "@" in email[1:-1] else ""  # what has no @ is no address
    blank = "".join({one for one in text if unicodedata.category(one) in ("Zs", "Zl", "Zp", "Cc", "Cf")})
    return unicodedata.normalize("NFC", text.strip(blank).lower())


def expect(one, delivery, safe, people):
    formulas, address, phone = delivery != "jsonl", as_written(one["email"]), e164(one["phone"], "US")
    if delivery == "brevo" and len({as_written(p["row"]["email"]) for p in people if p["row"]["phone_e164"] == phone} - {""}) > 1:
        phone = None  # it would make one contact of them
    if not address or not is_email(address) or (formulas and is_formula(address)):
        return None

    def shown(value):
        if not value or not formulas or not is_formula(value):
            return value or ""
        return "'" + value if safe else ""

    return (address, *(shown(one[k]) for k in ("first_name", "last_name", "city")), phone or "")
