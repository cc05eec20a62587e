"""The settings refuse what would be missing or unsafe, in words that help."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import (
    DEVELOPMENT_API_KEY,
    PROJECT,
    SANDBOX_KEY,
    SANDBOX_WEBHOOK_SECRET,
    load_settings,
)
from tests.service import run

PRODUCTION = {
    "FASTAPI_ENV": "production",
    "SENDER_EMAIL": "hello@acme.dev",
    "POSTSTACK_API_KEY": "sk_live_planted",
    "POSTSTACK_WEBHOOK_SECRET": "whsec_planted-8ff2c4a1d09b4e5f",
    "API_KEYS": "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6,\tplanted-0b2c97de41f84a6c9d55e8a3f1c7,",
    # % if cookiecutter.queue_backend == "arq"
    "REDIS_URL": "rediss://:planted@redis:6379/0",
    # % elif cookiecutter.queue_backend == "celery"
    "BROKER_URL": "amqps://mail:planted@rabbitmq:5671/mail",
    # % endif
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
        load_settings()
    title, *lines = str(caught.value).splitlines()
    assert title == "The service cannot start:"
    assert "planted" not in str(caught.value)
    return [line.strip() for line in lines]


@pytest.mark.usefixtures("production")
def test_production() -> None:
    """With a key, a sender and a webhook secret, production starts against the real PostStack."""
    settings = load_settings()

    assert (settings.base_url(), settings.sandbox) == ("https://api.poststack.dev", False)
    assert settings.poststack_api_key.get_secret_value() == "sk_live_planted"
    assert settings.poststack_webhook_secret.get_secret_value() == "whsec_planted-8ff2c4a1d09b4e5f"
    keys = PRODUCTION["API_KEYS"].strip(",").replace("\t", "")
    assert settings.api_keys.get_secret_value() == keys
    assert "planted" not in repr(settings)


def test_nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment at all is production, and production names everything that it misses."""
    monkeypatch.setenv("SENDER_EMAIL", "hello@example.com")
    names = [line.split(" ")[0] for line in problems()]
    required = ["SENDER_EMAIL", "POSTSTACK_API_KEY", "POSTSTACK_WEBHOOK_SECRET", "API_KEYS"]
    assert names[:4] == required


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTAPI_ENV", "staging"),
        ("SENDER_EMAIL", "hello@example.com"),
        ("SENDER_EMAIL", "not an address"),
        ("SENDER_EMAIL", "Acme <hello@example.com>"),
        ("SENDER_EMAIL", "Acme\x07 <hello@acme.dev>"),
        ("REPLY_TO", "help@acme.dev, sales@acme.dev"),
        ("MAX_ATTACHMENT_BYTES", "0"),
        ("POSTSTACK_API_KEY", "planted"),
        ("POSTSTACK_API_KEY", SANDBOX_KEY),
        ("POSTSTACK_BASE_URL", "http://api.poststack.dev"),
        ("POSTSTACK_WEBHOOK_SECRET", "  "),
        ("POSTSTACK_WEBHOOK_SECRET", "changeme"),
        ("POSTSTACK_WEBHOOK_SECRET", f"whsec_{'a' * 40}"),
        ("POSTSTACK_WEBHOOK_SECRET", SANDBOX_WEBHOOK_SECRET),
        ("API_KEYS", " , "),
        ("API_KEYS", f"{PRODUCTION['API_KEYS']}{DEVELOPMENT_API_KEY}"),
        ("API_KEYS", f"{PRODUCTION['API_KEYS']}planted-and-short"),
        ("API_KEYS", "planted-planted-planted-planted-planted-"),
        ("API_KEYS", f"{PRODUCTION['API_KEYS']}planted words-8ff2c4a1d09b4e5fb67d3c"),
        ("PORT", "planted"),
        ("DATABASE_URL", "mysql://planted:planted@mysql/mail"),
        ("DATABASE_URL", "sqlite://planted.sqlite3"),
        ("DATABASE_URL", "postgresql://u:planted@db:planted/mail"),
        # % if cookiecutter.queue_backend == "arq"
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://:planted@redis/0"),
        ("REDIS_URL", "redis://:planted/planted@redis/0"),
        ("REDIS_URL", "redis://:planted@redis:planted/0"),
        ("REDIS_URL", "redis://:planted@redis/0?planted=1"),
        ("REDELIVERY_SECONDS", "2"),
        # % endif
        # % if cookiecutter.queue_backend != "none"
        ("QUEUE_NAME", "planted:queue"),
        ("METRICS_PORT", "65536"),
        # % endif
    ],
)
def test_production_refuses(name: str, value: str, production: pytest.MonkeyPatch) -> None:
    """Each unsafe or missing value is one line that begins with its name."""
    production.setenv(name, value)

    [line] = problems()

    assert line.startswith(f"{name} ")
    assert "Value error" not in line


def test_names(production: pytest.MonkeyPatch) -> None:
    """The sender's name is kept, and in quotes where it must be."""
    production.setenv("SENDER_EMAIL", "Acme, Inc. <hello@Acme.dev>")
    production.setenv("REPLY_TO", "Hilfe für Käufer <help@acme.dev>")

    settings = load_settings()

    assert settings.sender_email == '"Acme, Inc." <hello@acme.dev>'
    assert settings.reply_to == "Hilfe für Käufer <help@acme.dev>"


@pytest.mark.parametrize("file", [True, False])
def test_old_database_setting(file: bool, production: pytest.MonkeyPatch) -> None:
    """Who has set `DATABASE_PATH` must not find an empty database elsewhere."""
    if file:
        Path(os.environ["ENV_FILE"]).write_text("DATABASE_PATH=/data/mail.sqlite3\n")
    else:
        production.setenv("DATABASE_PATH", "/data/mail.sqlite3")
    cure = "DATABASE_URL (once DATABASE_PATH) must begin with sqlite:/// or postgresql://"
    assert problems() == [cure]

    production.setenv("DATABASE_URL", "sqlite:////data/mail.sqlite3")
    assert load_settings().sqlite_path == Path("/data/mail.sqlite3")


@pytest.mark.parametrize("keys", ["", DEVELOPMENT_API_KEY])
def test_real_mail_in_development(keys: str, production: pytest.MonkeyPatch) -> None:
    """The public key sends no real mail, wherever PostStack's key came from."""
    production.setenv("FASTAPI_ENV", "development")
    production.setenv("POSTSTACK_API_KEY", "sk_live_planted")
    production.setenv("API_KEYS", keys)

    [line] = problems()

    assert line.startswith("API_KEYS ")
    production.setenv("POSTSTACK_API_KEY", "sk_test_planted")  # which delivers nothing
    assert load_settings().api_keys.get_secret_value() == DEVELOPMENT_API_KEY


def test_development(monkeypatch: pytest.MonkeyPatch) -> None:
    """In development nothing is needed: mail goes to the sandbox at the service's own port."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("PORT", "8123")
    settings = load_settings()

    assert (settings.base_url(), settings.sandbox) == ("http://127.0.0.1:8123/sandbox", True)
    assert settings.poststack_webhook_secret.get_secret_value() == SANDBOX_WEBHOOK_SECRET
    assert settings.api_keys.get_secret_value() == DEVELOPMENT_API_KEY
    assert load_settings(port="8124").port == 8124  # the command line wins
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # the fault that is planted here


def test_development_with_a_key() -> None:
    """With a key, development talks to PostStack; without a secret nobody can sign a webhook."""
    lines = ("FASTAPI_ENV=development", "POSTSTACK_API_KEY=sk_test_1", "PORT=", "OTHER=1")
    Path(os.environ["ENV_FILE"]).write_text("\n".join(lines))
    first, second = load_settings(), load_settings(poststack_base_url="http://127.0.0.1:9000/")

    assert (first.base_url(), first.sandbox) == ("https://api.poststack.dev", False)
    assert second.base_url() == "http://127.0.0.1:9000"
    secrets = {each.poststack_webhook_secret.get_secret_value() for each in (first, second)}
    assert len(secrets) == 2
    assert min(map(len, secrets)) > 40


def test_file_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` is read beside `pyproject.toml`, from wherever a program is started."""
    monkeypatch.delenv("ENV_FILE")
    done = run("from app.settings import Settings; print(Settings.model_config['env_file'])")

    assert Path.cwd() != PROJECT
    assert done.stdout == f"{PROJECT / '.env'}\n"
