"""When two addresses are the same mailbox."""

import unicodedata
from email.utils import parseaddr

import idna


def normalize_address(address: str) -> str:
    """Return the same text for all spellings of one mailbox.

    Those are `Name <address>`, spaces around it, upper and lower case, the two forms of a letter
    with an accent (NFC and NFD), and `xn--` for a domain in another script. SQLite could fold the
    case of ASCII alone; `casefold` would make `straße.de` somebody else's `strasse.de`.

    Raises `ValueError` for what is no address.
    """
    bare = parseaddr(address)[1] if "<" in address else address.strip()
    local, _, domain = bare.rpartition("@")
    if not local or not domain or any(map(str.isspace, bare)):
        raise ValueError("is not an address")
    if not bare.isascii():
        local = unicodedata.normalize("NFC", local)
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            domain = unicodedata.normalize("NFC", domain)
    return f"{local}@{domain.rstrip('.')}".lower()
