"""By what addresses are compared: the marts' own macros (macros/address_keys.sql), as DuckDB expressions."""

from functools import cache

from raw_checks import raw_files


@cache
def _macros():
    macros = raw_files.macros(raw_files.PROJECT, None, {}, files=("address_keys", "engine"))
    macros["duckdb__ascii_domain"] = macros["punycode_of_labels"]  # in the marts' warehouse it is a function
    return macros


def written_email(sql):
    """As it is written to others: composed, without blanks around it, lower case."""
    return _macros()["written_email"](sql)


def email_key(sql):
    return _macros()["email_key"](sql)


def phone_digits(sql):
    return _macros()["phone_digits"](sql)


def mailbox_key(email_key):
    """The mailbox behind the key of an e-mail address; of most it is the key."""
    return _macros()["mailbox_key"](email_key)


def is_aliased(email_key):
    """Whether several spellings of it may reach one mailbox."""
    return _macros()["is_aliased"](email_key)


def national_number(phone):
    """An E.164 number without its calling code."""
    digits = f"substr({phone}, 2)"
    return f"substr({digits}, length({_macros()['calling_code'](digits)}) + 1)"
