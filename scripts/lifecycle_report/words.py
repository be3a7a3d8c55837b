"""Words and numbers as people read them: the filters of the page."""

import unicodedata

from markupsafe import Markup

from common import rounded


def printable(value):
    """Text without control characters, which HTML has no place for."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "".join(" " if unicodedata.category(letter) == "Cc" and letter != "\n" else letter for letter in value)
    return value


def count(number):
    return "–" if number is None else f"{int(number):,}".replace("-", "−")


def percent(share, digits=1):
    return "–" if share is None else f"{100 * share:.{digits}f}%".replace("-", "−")


def signed(number, digits=0):
    if number is None:
        return "–"
    text = rounded(number, digits).replace("-", "−")
    return text if text.startswith("−") else f"+{text}"


def money(amount, digits=0):
    return "–" if amount is None else rounded(amount, digits).replace("-", "−")


def points(difference, digits=1):
    """A difference of two shares: percentage points, said so."""
    return "–" if difference is None else f"{signed(100 * difference, digits)} points"


def change(now, before, digits=1):
    """By how many per cent something changed; a dash where nothing was before."""
    return "–" if now is None or not before or before < 0 else f"{signed(100 * float(now / before - 1), digits)}%"


def shown(number, unit):
    """A number in its unit: count, money, share or points."""
    return {"count": count, "money": money, "share": percent, "points": points}[unit](number)


def short(number, unit="count"):
    """A number for an axis, where there is little room: 1.2m, 100k."""
    for power, letter in ((1_000_000, "m"), (1_000, "k")) if unit in ("count", "money") else ():
        if number >= 10 * power or number >= power == 1_000_000:
            return f"{number / power:g}{letter}"
    return shown(number, unit)


def day(date):
    return f"{date.day} {date:%B %Y}"


def month(date):
    return f"{date:%b %Y}"


def short_month(date):
    return f"{date:%b %y}"


def full_month(date):
    return f"{date:%B %Y}"


def words(name):
    """A name of the marts as words: cannot_lose_them as Cannot lose them."""
    text = {"sms": "SMS", "email": "E-mail"}.get(name, name.replace("_", " "))
    return text[:1].upper() + text[1:]


def at(number):
    """A coordinate or percentage, short."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def path(places):
    return " ".join(f"{at(x)},{at(y)}" for x, y in places)
