"""Addresses: with a name or without, and when two are the same mailbox."""

import re
import unicodedata
from email.utils import quote

import idna

from app.text import check_line

NAMED = re.compile(r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<name>[^<>]*))\s*<(?P<address>[^<>]*)>')
"""`Name <address>`; in quotes a name may have any character."""

SPECIALS = re.compile(r'[()<>\[\]:;@\\,."]')
"""What a name may have in quotes alone, by RFC 5322 section 3.2.3."""

FORBIDDEN = {"Cc", "Cs", "Zs", "Zl", "Zp"}
"""Unicode's control characters, which PostgreSQL refuses in part, surrogates and spaces."""


def split_name(mailbox: str) -> tuple[str, str]:
    """Take `Name <address>` apart; the name of an address alone is empty."""
    named = NAMED.fullmatch(mailbox.strip())
    if not named:
        return "", mailbox.strip()
    quoted, name = named["quoted"], named["name"]
    name = name.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return name, named["address"].strip()


def with_name(name: str, address: str) -> str:
    """Write `Name <address>`, with the name in quotes if it has commas, dots, brackets and such.

    Raises `ValueError` for a name with line breaks, control or format characters.
    """
    if not name:
        return address
    name = f'"{quote(name)}"' if SPECIALS.search(check_line(name)) else name
    return f"{name} <{address}>"


def normalize_address(address: str) -> str:
    """Return the same text for all spellings of one mailbox.

    Those are `Name <address>`, spaces around it, upper and lower case, the two forms of a letter
    with an accent (NFC and NFD), and `xn--` for a domain in another script. SQLite could fold the
    case of ASCII alone; `casefold` would make `straße.de` somebody else's `strasse.de`.

    Raises `ValueError` for what is no address, or more than one.
    """
    _, bare = split_name(address)
    local, _, domain = bare.removesuffix(".").rpartition("@")
    is_quoted = local.startswith('"') and local.endswith('"')
    if (
        not local
        or not all(domain.split("."))
        or (not is_quoted and any(char in local for char in "<>@"))
        or any(char in domain for char in "<>")
        or not FORBIDDEN.isdisjoint(map(unicodedata.category, bare))
    ):
        raise ValueError("is not an address")
    if not bare.isascii():
        local = unicodedata.normalize("NFC", local)
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            domain = unicodedata.normalize("NFC", domain)
    return f"{local}@{domain}".lower()


def unicode_address(address: str) -> str:
    """Return a normalized address with its domain's own letters in place of `xn--`."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{idna.decode(domain)}"
    except idna.IDNAError:
        return address
