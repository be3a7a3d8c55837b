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
    return "–" if number is None else f"{number:,}".replace("-", "−")


def percent(share, digits=1):
    return "–" if share is None else f"{100 * share:.{digits}f}%".replace("-", "−")


def signed(number, digits=0):
    return "–" if number is None else f"{number:+,.{digits}f}".replace("-", "−")


def money(amount, digits=0):
    return "–" if amount is None else rounded(amount, digits).replace("-", "−")


def day(date):
    return f"{date.day} {date:%B %Y}"


def month(date):
    return f"{date:%b %Y}"


def full_month(date):
    return f"{date:%B %Y}"


def words(name):
    """A name of the marts as words: cannot_lose_them as Cannot lose them."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def at(number):
    """A coordinate or percentage, short."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def path(points):
    return " ".join(f"{at(x)},{at(y)}" for x, y in points)
