"""What people type, before it stands in a mail."""

import pytest

from app.text import check_line, check_name, printable


@pytest.mark.parametrize(
    "name",
    [
        *("A", "Ada", "Ada Lovelace", "J. R. R. Tolkien", "J.R.R. Tolkien", "O'Neil", "<b>Ada</b>"),
        *("Zoë", "عائشة", "می\u200cخواهم", "李", "👩\u200d🚀", "🎉\ufe0f", "Ada, Jr.", "No. 2"),
    ],
)
def test_names(name: str) -> None:
    """Names of all scripts are names, and stay as they are."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("A\nB", "A\r", "A\0", "A\x7f", "A\x9b31m", "A\u2028B", "A\u2029B", "A\ud800"),
        *("\u202eadA", "A\u2066B", "A\u200eB", "\u200b", "A\u200bB", "A\ufeff", "\u00ad"),
        *("", " ", "\u00a0", "\u200d", "\u3164", "\u2800", "\u115f\u1160", "\ufe0f \u200c"),
        *("evil.example", "https://x", "HTTPS://X", "www.x", "//evil.dev/", "185.1.2.3/x"),
        *("evil\u3002com", "evil\uff0ecom", "evil\uff61com", "evil.\u2060com", "ｅｖｉｌ．ｃｏｍ"),
        *("1\u20242.3.4", "evil\u2024com", "Click http\uff1a//x"),
    ],
)
def test_no_names(name: str) -> None:
    """What cannot be seen, breaks its line, or becomes a link is refused, and not quoted."""
    with pytest.raises(ValueError, match=r"^must not") as refused:
        check_name(name)
    assert not name.strip() or name not in str(refused.value)


def test_lines() -> None:
    """A line may have links and be empty."""
    for text in ("", "https://example.com", "50 %"):
        assert check_line(text) == text


def test_printable() -> None:
    """What a terminal would obey is replaced."""
    assert printable("a\x1b[31m\nb\0") == "a\N{REPLACEMENT CHARACTER}[31m" + "\ufffd" + "b\ufffd"
