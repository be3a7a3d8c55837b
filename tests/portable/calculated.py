"""Values for the macros that each engine writes in its own way, and what Python makes of them."""

import hashlib
import hmac
import random
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

from support import DEMO

TYPES = {
    "id": "integer",
    "amount": "decimal(18, 4)",
    "part": "decimal(18, 4)",
    "whole": "decimal(18, 4)",
    "number": "bigint",
    "rate": "decimal(18, 8)",
    "first_day": "date",
    "last_day": "date",
    "days": "integer",
    "wall_clock": "timestamp",
    "zone": "string",
    "name": "string",
}
UNIT = Decimal("0.0001")
KEY = bytes(range(3, 256, 4))[:40]  # of the keyed hashes: shorter than a block of SHA-256
# where halves are: 66.9069 / 2, a cent in eighths, a negative half, nothing, and amounts of 10^12 and beyond
BOUNDARIES = [
    ("66.9069", "1.0000", "2.0000", 2, "0.50000000"),
    ("-66.9069", "1.0000", "2.0000", -2, "0.50000000"),
    ("0.0001", "1.0000", "2.0000", 2, "0.49999999"),
    ("0.0001", "-1.0000", "2.0000", 3, "0.50000000"),
    ("0.0004", "0.0003", "0.0008", 8, "0.12500000"),
    ("0.0000", "5.0000", "7.0000", 7, "1.23456789"),
    ("5.0000", "1.0000", "0.0000", 0, "0.00000000"),
    ("1000000.0000", "1.0000", "1.0000", 1, "1.08730000"),
    ("1000000000000.0000", "999999999999.9999", "1000000000000.0001", 3, "0.00612345"),
    ("-1000000000000.0000", "0.3333", "0.9999", 7, "99.99999999"),
    ("99999999999999.9999", "1.0000", "1.0000", 1, "1.00000000"),
    ("99999999999999.9999", "0.0001", "99999999999999.9999", 1, "0.00000001"),
]
DAYS = [date(2024, 2, 29), date(2023, 2, 28), date(2024, 12, 31), date(2000, 1, 1), date(2026, 3, 29), date(2026, 10, 25)]
# in the hour that spring skips, and in the one that autumn repeats
WALL_CLOCKS = [datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 1, 59), datetime(2026, 10, 25, 3)]
ZONES = ["Asia/Kolkata", "America/New_York", "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+5"]
NAMES = ["plain", "  49 (0)170 1234567\t", "\u00a0\u200b\ufeffÄé 日本\r\n", "0", "+1-555'0100", "a\\d b", " ", "x" * 300]


def rows():
    draw = random.Random(12)

    def decimal(digits, scale):
        return Decimal(draw.randrange(-(10**digits), 10**digits)).scaleb(-scale)

    def day():
        return date(1999, 1, 1) + timedelta(days=draw.randrange(12_000))

    numbers = [(Decimal(a), Decimal(p), Decimal(w), n, Decimal(r)) for a, p, w, n, r in BOUNDARIES]
    for _ in range(3000):
        # a share of at most the whole, as every share of money is, and small numbers, among which halves are frequent
        size = draw.choice([2, 4, 7, 16])
        whole, part = decimal(size, 4), decimal(size, 4)
        part = part if abs(part) <= abs(whole) else whole
        number = draw.choice([2, 8, 16, draw.randrange(1, 100)])
        numbers.append((decimal(size, 4), part, whole, number, decimal(9, 8)))
    for number, values in enumerate(numbers):
        first, last = (day(), day()) if number >= len(DAYS) else (DAYS[number], DAYS[-1 - number])
        wall_clock = datetime(2026, 1, 1) + timedelta(minutes=draw.randrange(500_000))
        wall_clock = WALL_CLOCKS[number] if number < len(WALL_CLOCKS) else wall_clock
        name = NAMES[number] if number < len(NAMES) else "".join(draw.choices(" \t+0123456789abcÄ日", k=draw.randrange(12)))
        about = first, last, draw.randrange(-800, 800), wall_clock, ZONES[number % len(ZONES)], name
        yield dict(zip(TYPES, (number, *values, *about), strict=True))


def things(values):
    """A query of the rows; `values` is the engine's way to write literals as a table."""
    columns = ", ".join(f"cast({name} as {type_}) as {name}" for name, type_ in TYPES.items())
    literals = ", ".join("(" + ", ".join(literal(value) for value in row.values()) + ")" for row in rows())
    return f"select {columns} " + values.format(rows=literals, columns=", ".join(TYPES))


def literal(value):
    return "'" + str(value).replace("'", "''") + "'"


def hold_against_python(calculated):
    """`calculated` has a row, by column name, for each row of things."""
    expected = {row["id"]: expected_of(row) for row in rows()}
    assert len(calculated) == len(expected)
    wrong = [
        f"{column} of row {row['id']}: {row[column]!r}, not {value!r}"
        for row in calculated
        for column, value in expected[row["id"]].items()
        if row[column] != value
    ]
    assert not wrong, f"{len(wrong)} values:\n" + "\n".join(wrong[:20])


def expected_of(row):
    first, last, name = row["first_day"], row["last_day"], row["name"]
    next_month = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    return {
        "share": money(row["amount"], row["part"], row["whole"]),
        "per_number": money(row["amount"], 1, row["number"]),
        "times_rate": money(row["amount"], row["rate"], 1),
        "times_number": money(row["amount"], row["number"], 1),
        "days": (last - first).days,
        "months": 12 * (last.year - first.year) + last.month - first.month,
        "days_later": first + timedelta(days=row["days"]),
        "year_before": first.replace(year=first.year - 1, day=min(first.day, 28) if first.month == 2 else first.day),
        "next_month": next_month,
        "month_label": f"{first:%Y-%m}",
        "in_utc": clock(row["wall_clock"], DEMO["business_time_zone"], "UTC"),
        "from_utc": clock(row["wall_clock"], "UTC", "Europe/Berlin"),
        "in_new_york": clock(row["wall_clock"], "Europe/Berlin", "America/New_York"),
        "there": clock(row["wall_clock"], "Europe/Berlin", row["zone"]),
        "stripped": stripped(name),
        "digits": re.sub("[^0-9+]", "", name),
        "is_number": name[:1].isdigit(),
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "keyed_hash": hmac.digest(KEY, name.encode(), "sha256").hex(),
        "hash_share": int(hashlib.md5(name.encode()).hexdigest()[:8], 16) / 2**32,
    }


def clock(wall_clock, zone, target):
    """A wall clock of one zone in another; of an hour that comes twice, the second."""
    instants = [wall_clock.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    return max(instants).astimezone(ZoneInfo(target)).replace(tzinfo=None)


def stripped(text):
    """Without what Unicode calls a separator, a format or a control at both ends."""
    letters = [not unicodedata.category(letter).startswith("Z") and unicodedata.category(letter) not in ("Cf", "Cc") for letter in text]
    return text[letters.index(True) : len(text) - letters[::-1].index(True)] if any(letters) else ""


def money(amount, part, whole):
    """amount × part / whole, exact, then to four places, half away from zero."""
    if not whole:
        return None
    exact = Fraction(amount) * Fraction(part) / Fraction(whole)
    with localcontext(prec=80):
        return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(UNIT, ROUND_HALF_UP)
