"""The settings refuse what would be missing or unsafe, in words that help."""

import pytest

from app.settings import DEVELOPMENT_API_KEY, SANDBOX_KEY, SANDBOX_WEBHOOK_SECRET, Settings, load

PRODUCTION = {
    "FASTAPI_ENV": "production",
    "SENDER_EMAIL": "hello@acme.dev",
    "POSTSTACK_API_KEY": "sk_live_planted",
    "POSTSTACK_WEBHOOK_SECRET": "whsec_planted",
    "API_KEYS": "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6,\tplanted-0b2c97de41f84a6c9d55e8a3f1c7,",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that production accepts, to be spoilt."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems() -> list[str]:
    """Load the settings and return the complaint, a line per problem."""
    with pytest.raises(SystemExit) as caught:
        load(Settings)
    title, *lines = str(caught.value).splitlines()
    assert title == "The service cannot start:"
    assert "planted" not in str(caught.value)
    return [line.strip() for line in lines]


def test_production(production: pytest.MonkeyPatch) -> None:
    """With a key, a sender and a webhook secret, production starts against the real PostStack."""
    del production
    settings = load(Settings)

    assert settings.poststack_base_url == "https://api.poststack.dev"
    assert settings.poststack_api_key.get_secret_value() == "sk_live_planted"
    assert settings.poststack_webhook_secret.get_secret_value() == "whsec_planted"
    assert settings.api_keys.get_secret_value().split(",") == [
        "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6",
        "planted-0b2c97de41f84a6c9d55e8a3f1c7",
    ]
    assert not settings.sandbox
    assert "planted" not in repr(settings)


def test_nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment at all is production, and production names everything that it misses."""
    monkeypatch.setenv("SENDER_EMAIL", "hello@example.com")

    assert [line.split(" ")[0] for line in problems()] == [
        "SENDER_EMAIL",
        "POSTSTACK_API_KEY",
        "POSTSTACK_WEBHOOK_SECRET",
        "API_KEYS",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTAPI_ENV", "staging"),
        ("SENDER_EMAIL", "hello@example.com"),
        ("SENDER_EMAIL", "not an address"),
        ("POSTSTACK_API_KEY", ""),
        ("POSTSTACK_API_KEY", "planted"),
        ("POSTSTACK_API_KEY", SANDBOX_KEY),
        ("POSTSTACK_BASE_URL", "http://api.poststack.dev"),
        ("POSTSTACK_BASE_URL", "http://127.0.0.1:8000/sandbox"),
        ("POSTSTACK_WEBHOOK_SECRET", ""),
        ("POSTSTACK_WEBHOOK_SECRET", "  "),
        ("POSTSTACK_WEBHOOK_SECRET", SANDBOX_WEBHOOK_SECRET),
        ("API_KEYS", ""),
        ("API_KEYS", " , "),
        ("API_KEYS", DEVELOPMENT_API_KEY),
        ("API_KEYS", f"{PRODUCTION['API_KEYS']}{DEVELOPMENT_API_KEY}"),
        ("API_KEYS", f"{PRODUCTION['API_KEYS']}planted-and-short"),
        ("API_KEYS", "planted-planted-planted-planted-planted-"),
        ("API_KEYS", "planted words-8ff2c4a1d09b4e5fb67d3c1aa2e6"),
        ("API_KEYS", "plantéd-8ff2c4a1d09b4e5fb67d3c1aa2e6"),
        ("PORT", "planted"),
    ],
)
def test_production_refuses(name: str, value: str, production: pytest.MonkeyPatch) -> None:
    """Each unsafe or missing value is one line that begins with its name."""
    production.setenv(name, value)

    [line] = problems()

    assert line.startswith(f"{name} ")


def test_development(monkeypatch: pytest.MonkeyPatch) -> None:
    """In development nothing is needed: mail goes to the sandbox at the service's own port."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("PORT", "8123")

    settings = load(Settings)

    assert settings.sandbox
    assert settings.poststack_base_url == "http://127.0.0.1:8123/sandbox"
    assert settings.poststack_webhook_secret.get_secret_value() == SANDBOX_WEBHOOK_SECRET
    assert settings.api_keys.get_secret_value() == DEVELOPMENT_API_KEY


def test_development_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key, development talks to the real PostStack, or wherever it is told to."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("POSTSTACK_API_KEY", "sk_test_1")
    assert load(Settings).poststack_base_url == "https://api.poststack.dev"

    monkeypatch.setenv("POSTSTACK_BASE_URL", "http://127.0.0.1:9000")
    settings = load(Settings)
    assert (settings.poststack_base_url, settings.sandbox) == ("http://127.0.0.1:9000", False)


def test_development_without_a_webhook_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key but no secret nobody can sign a webhook: the secret is random, and never empty."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("POSTSTACK_API_KEY", "sk_test_1")

    secrets = {load(Settings).poststack_webhook_secret.get_secret_value() for _ in range(2)}

    assert len(secrets) == 2
    assert min(map(len, secrets)) > 40
