"""One mailbox has one address, however it is written."""

import unicodedata

import pytest

from app.addresses import normalize_address, unicode_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ada@example.com", "ada@example.com"),
        ("ADA@Example.COM", "ada@example.com"),
        ("  ada@example.com\n", "ada@example.com"),
        ("ada@example.com.", "ada@example.com"),
        ("Ada <ada@example.com>", "ada@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        (' "Lovelace, Ada" < ada@example.com > ', "ada@example.com"),
        ("Lovelace, Ada <ada@example.com>", "ada@example.com"),
        ("ada+1@example.com", "ada+1@example.com"),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("ada@[127.0.0.1]", "ada@[127.0.0.1]"),
        ("ada@münchen.de", "ada@xn--mnchen-3ya.de"),
        ("ada@xn--mnchen-3ya.de", "ada@xn--mnchen-3ya.de"),
        ("Ada <ADA@XN--MNCHEN-3YA.DE>", "ada@xn--mnchen-3ya.de"),
        ("Ada <ada@MÜNCHEN.de.>", "ada@xn--mnchen-3ya.de"),
        (unicodedata.normalize("NFD", "ada@münchen.de"), "ada@xn--mnchen-3ya.de"),
        ("ada@ｍünchen。ｄｅ", "ada@xn--mnchen-3ya.de"),
        ("ada@straße.de", "ada@xn--strae-oqa.de"),
        ("ada@strasse.de", "ada@strasse.de"),
        ("ZOË@example.com", "zoë@example.com"),
        (unicodedata.normalize("NFD", "zoë@example.com"), "zoë@example.com"),
        ("ada@☃.example", "ada@☃.example"),  # no domain by today's rules, and yet an address
    ],
)
def test_spellings(address: str, expected: str) -> None:
    """All spellings of a mailbox have one text, which stays as it is; others have another."""
    assert normalize_address(address) == expected
    assert normalize_address(expected) == expected
    assert normalize_address(unicode_address(expected)) == expected


def test_unicode() -> None:
    """A domain has its own letters again; what cannot be read stays as it is."""
    assert unicode_address("ada@xn--mnchen-3ya.de") == "ada@münchen.de"
    for address in ("ada@example.com", "ada@xn--zzzzzz999.de", "ada@[127.0.0.1]"):
        assert unicode_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *("", " ", "ada", "@example.com", "ada@", "ada@.", "ada@example..com", "ada@example.com.."),
        *("a da@example.com", "ada@ example.com", "ada@exam\u00a0ple.com", "ada\n@example.com"),
        *("ada@example.com\0", "ada@example.com\x9b31m", "ada\ud800@example.com"),
        *("Ada <ada>", "Ada <>", "<ada@example.com", "ada@example.com>", "<<ada@example.com>>"),
        *("ada@example.com,eve@example.com", "<ada@example.com>, <eve@example.com>"),
        *("ada@eve@example.com", "Ada <ada@example.com> eve@example.com"),
    ],
)
def test_no_address(address: str) -> None:
    """What is no address, or more than one, is refused, and not quoted."""
    with pytest.raises(ValueError, match=r"^is not an address$"):
        normalize_address(address)
