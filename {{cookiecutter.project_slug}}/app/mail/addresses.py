"""When two addresses are the same mailbox."""

import re
import unicodedata

import idna

NAMED = re.compile(r"[^<>]*<([^<>]*)>")
"""`Name <address>`."""

FORBIDDEN = {"Cc", "Cs", "Zs", "Zl", "Zp"}
"""Unicode's control characters, which PostgreSQL refuses in part, surrogates and spaces."""


def normalize_address(address: str) -> str:
    """Return the same text for all spellings of one mailbox.

    Those are `Name <address>`, spaces around it, upper and lower case, the two forms of a letter
    with an accent (NFC and NFD), and `xn--` for a domain in another script. SQLite could fold the
    case of ASCII alone; `casefold` would make `straße.de` somebody else's `strasse.de`.

    Raises `ValueError` for what is no address, or more than one.
    """
    named = NAMED.fullmatch(address.strip())
    bare = (named[1] if named else address).strip()
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
