"""What the service reads from its environment, checked once at start."""

import os
import re
# % if cookiecutter.queue_backend != "none"
from contextlib import suppress
# % endif
from pathlib import Path
from secrets import token_urlsafe
from typing import Literal
from urllib.parse import urlsplit

# % if cookiecutter.queue_backend == "arq"
import redis.asyncio
# % elif cookiecutter.queue_backend == "celery"
from kombu.utils.url import parse_url
# % endif
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    validate_email,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.addresses import split_name, with_name

SANDBOX_KEY = "sk_test_sandbox"
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105  public, and refused in production
DEVELOPMENT_API_KEY = "key_for_development"  # public, too
# % if cookiecutter.queue_backend == "arq"
LOCAL_REDIS = "redis://127.0.0.1:6379/0"
# % endif
PROJECT = Path(__file__).parents[1]
"""The folder of `pyproject.toml` and, by default, of the data."""

PLACEHOLDER_DOMAINS = ("example.com", "example.net", "example.org")


class Settings(BaseSettings):
    """The environment variables of the same names in capitals, or a `.env` file.

    That file is beside `pyproject.toml`, wherever a program is started, or where `ENV_FILE` says.

    After validation no secret is empty: an absent one has become the sandbox's (development) or has
    been refused (production).
    """

    model_config = SettingsConfigDict(
        env_file=os.environ.get("ENV_FILE", PROJECT / ".env"),
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    fastapi_env: Literal["development", "production"] = "production"
    """Set to `development` by `fastapi dev`; anything unsafe is refused in `production`."""

    bind_host: str = "127.0.0.1"
    """The address that the server listens on; its option `--host` wins over this variable."""

    port: int = 8000
    """The port that the server listens on; its option `--port` wins over this variable."""

    service_name: str = "{{cookiecutter.project_name}}"
    """The service's name in the emails and on the API's pages."""

    sender_email: str = "{{cookiecutter.sender_email}}"
    """Where mail comes from: an address, or `Name <address>`; its domain must be verified in
    PostStack."""

    reply_to: str = ""
    """Where answers go, if not to the sender; with a name, too, if you like."""

    max_attachment_bytes: int = Field(10_000_000, ge=1)
    """The most that the attachments of one mail may have, before base64 makes a third more of it.
    PostStack's documentation names no limit; many mail servers refuse a mail of more than 25 MB."""

    poststack_api_key: SecretStr = SecretStr("")
    """A key with permission to send. Without one, `fastapi dev` uses the sandbox."""

    poststack_base_url: str = ""
    """PostStack's address: by default its public one, or the sandbox's in development without a
    key."""

    poststack_webhook_secret: SecretStr = SecretStr("")
    """What PostStack signs its webhooks with; it shows the secret once, with a new webhook."""

    api_keys: SecretStr = SecretStr("")
    """The keys that callers of this API send. With several, separated by commas, callers can move
    to a new key before the old one is removed."""

    client_signups_per_minute: int = Field(30, ge=1)
    """How many signups each process takes from one IP address."""

    recipient_signups_per_hour: int = Field(10, ge=1)
    """How many signups all processes together take for one mailbox, whoever sends them."""

    # By its old name, too, so that it is refused and not overlooked.
    database_url: SecretStr = Field(
        SecretStr("sqlite:///data/service.sqlite3"),
        validation_alias=AliasChoices("database_url", "database_path"),
    )
    """An SQLite file, relative to the project, or with a fourth slash absolute; for several
    machines a PostgreSQL, such as `postgresql://user:password@postgres.example.com/mail`."""

    retention_days: int = Field(90, ge=4)
    """How long `uv run poe purge` keeps what is known of a mail."""

    # % if cookiecutter.queue_backend == "arq"
    redis_url: SecretStr = SecretStr("")
    """The queue's Redis, such as `rediss://:password@redis.example.com:6379/0`."""

    redelivery_seconds: int = Field(30, ge=3, le=3600)
    """After so long a dead worker's mail is sent again; two thirds of it are for one attempt."""

    # % elif cookiecutter.queue_backend == "celery"
    broker_url: SecretStr = SecretStr("")
    """The queue's RabbitMQ, such as `amqps://user:password@rabbitmq.example.com:5671/vhost`."""

    # % endif
    # % if cookiecutter.queue_backend != "none"
    queue_name: str = "{{cookiecutter.project_slug}}"
    """The queue's name; services that share a broker need a name each."""

    metrics_port: int = Field(0, ge=0, le=65535)
    """The port of a worker's metrics, open to all who reach it; 0 is none."""

    # % endif
    @field_validator("sender_email")
    @classmethod
    def _check_sender(cls, mailbox: str, info: ValidationInfo) -> str:
        return _check_mailbox(mailbox, info)

    @field_validator("reply_to")
    @classmethod
    def _check_reply_to(cls, mailbox: str, info: ValidationInfo) -> str:
        return mailbox and _check_mailbox(mailbox, info)

    @field_validator("poststack_api_key")
    @classmethod
    def _find_poststack_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        value = key.get_secret_value()
        if not _in_production(info):
            return key if value else SecretStr(SANDBOX_KEY)
        if not value:
            raise ValueError("is missing; create one in PostStack's dashboard")
        if not value.startswith("sk_") or value == SANDBOX_KEY:
            raise ValueError("is not a PostStack key; those begin with sk_live_ or sk_test_")
        return key

    @field_validator("poststack_base_url")
    @classmethod
    def _find_base_url(cls, url: str, info: ValidationInfo) -> str:
        if not url and _uses_sandbox(info):
            return ""  # see `base_url`
        url = url or "https://api.poststack.dev"
        schemes = ("https://",) if _in_production(info) else ("https://", "http://")
        if not url.startswith(schemes):
            raise ValueError(f"must begin with {' or '.join(schemes)}")
        return url.rstrip("/")

    @field_validator("poststack_webhook_secret")
    @classmethod
    def _find_webhook_secret(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        value = secret.get_secret_value().strip()
        if _in_production(info):
            if not value:
                raise ValueError("is missing; PostStack shows it once, with a new webhook")
            if value == SANDBOX_WEBHOOK_SECRET:
                raise ValueError("is the sandbox's, which is public; use your webhook's")
            # PostStack does not document how long its secrets are.
            if _is_weak(value, 20):
                raise ValueError("can be guessed; use the one that PostStack shows")
        if not value and _uses_sandbox(info):
            return SecretStr(SANDBOX_WEBHOOK_SECRET)
        # Never empty: the SDK would accept a signature that is made with the empty key.
        return SecretStr(value or token_urlsafe())

    @field_validator("api_keys")
    @classmethod
    def _find_api_keys(cls, keys: SecretStr, info: ValidationInfo) -> SecretStr:
        values = [key for part in keys.get_secret_value().split(",") if (key := part.strip())]
        if not (_in_production(info) or _sends_real_mail(info)):
            values = values or [DEVELOPMENT_API_KEY]
        elif not values:
            raise ValueError("is missing; make a key with `openssl rand -hex 32`")
        elif DEVELOPMENT_API_KEY in values:
            raise ValueError("contains the development key, which is public; remove it")
        elif any(_is_weak(key, 32) for key in values):
            raise ValueError("contains a weak key; make one with `openssl rand -hex 32`")
        # What RFC 6750 allows in `Authorization: Bearer`.
        if not all(re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", key) for key in values):
            raise ValueError("may contain letters, digits and -._~+/= in a key, and commas between")
        return SecretStr(",".join(values))

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr) -> SecretStr:
        scheme, _, rest = url.get_secret_value().partition("://")
        if scheme not in ("sqlite", "postgresql", "postgres") or len(rest) < 2:
            raise ValueError("(once DATABASE_PATH) must begin with sqlite:/// or postgresql://")
        if scheme == "sqlite" and not rest.startswith("/"):
            raise ValueError("needs three slashes before a file in the project, four before others")
        try:
            urlsplit(url.get_secret_value()).port  # noqa: B018  raises
        except ValueError:
            # Not in Python's words, which can quote the password.
            raise ValueError("is not a URL; percent-encode the password") from None
        return url

    # % if cookiecutter.queue_backend == "arq"
    @field_validator("redis_url")
    @classmethod
    def _find_redis(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        value = url.get_secret_value()
        if not value and _in_production(info):
            raise ValueError("is missing; set your Redis, such as redis://redis:6379/0")
        value = value or LOCAL_REDIS
        try:
            redis.asyncio.ConnectionPool.from_url(value).make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, ValueError):
            # Not in redis-py's words, which can quote the password.
            problem = "is not a redis://, rediss:// or unix:// URL; percent-encode the password"
            raise ValueError(problem) from None
        return SecretStr(value)

    # % elif cookiecutter.queue_backend == "celery"
    @field_validator("broker_url")
    @classmethod
    def _find_broker(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        value = url.get_secret_value()
        if not value and _in_production(info):
            raise ValueError("is missing; write amqps://user:password@host:5671/vhost")
        value = value or "amqp://guest:guest@127.0.0.1:5672//"
        scheme, _, rest = value.partition("://")
        if scheme in ("redis", "rediss", "sentinel"):
            raise ValueError("is Redis, where Celery can lose mail (kombu issue 305); use RabbitMQ")
        # Celery reads a semicolon as the start of another broker's URL.
        if scheme not in ("amqp", "amqps") or not rest or ";" in rest:
            raise ValueError("must be one amqp:// or amqps:// URL, with ; in a password as %3B")
        try:
            parts = parse_url(value)
        except ValueError:
            # Not in kombu's words, which can quote the password.
            raise ValueError("is not a URL; percent-encode the password") from None
        login = (parts["userid"] or "guest", parts["password"] or "guest")
        if _in_production(info) and login == ("guest", "guest"):
            raise ValueError("uses the public guest account; give the service a user of its own")
        return SecretStr(value)

    # % endif
    # % if cookiecutter.queue_backend != "none"
    @field_validator("queue_name")
    @classmethod
    def _check_queue_name(cls, name: str) -> str:
        # Out of another queue's keys and routing: to `mail`, `eu.mail` would be its own.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,60}", name):
            raise ValueError("must be a letter, then letters, digits or hyphens, all lower-case")
        return name

    # % endif
    @property
    def sandbox(self) -> bool:
        """Whether mail goes to the sandbox on this machine; never in production."""
        return self.poststack_api_key.get_secret_value() == SANDBOX_KEY

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, or nothing with PostgreSQL."""
        scheme, _, path = self.database_url.get_secret_value().partition(":///")
        return PROJECT / path if scheme == "sqlite" else None

    @property
    def data_folder(self) -> Path:
        """Where local development keeps what is not in the database."""
        return self.sqlite_path.parent if self.sqlite_path else PROJECT / "data"

    @property
    def server_url(self) -> str:
        """Where programs on this machine reach the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind_host, self.bind_host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def sandbox_url(self) -> str:
        """Where a server with these settings has the sandbox."""
        return f"{self.server_url}/sandbox"

    # % if cookiecutter.queue_backend != "none"
    @property
    def sandbox_url_file(self) -> Path:
        """The file in which the API tells its workers where the sandbox is."""
        return self.data_folder / "sandbox-url"

    # % endif
    def base_url(self) -> str:
        """Return PostStack's address, or the sandbox's, wherever the API was started last."""
        # % if cookiecutter.queue_backend != "none"
        if not self.poststack_base_url:
            with suppress(FileNotFoundError):  # the API has not started yet, or has stopped
                return self.sandbox_url_file.read_text("utf-8")
        # % endif
        return self.poststack_base_url or self.sandbox_url


def _check_mailbox(mailbox: str, info: ValidationInfo) -> str:
    name, address = split_name(mailbox)
    _, address = validate_email(address)
    if _in_production(info) and address.rpartition("@")[2] in PLACEHOLDER_DOMAINS:
        raise ValueError(f"is {address}, a placeholder; use an address at your own domain")
    return with_name(name, address)


def _in_production(info: ValidationInfo) -> bool:
    # An invalid mode counts as production.
    return info.data.get("fastapi_env") != "development"


def _uses_sandbox(info: ValidationInfo) -> bool:
    key: SecretStr | None = info.data.get("poststack_api_key")
    return key is not None and key.get_secret_value() == SANDBOX_KEY


def _sends_real_mail(info: ValidationInfo) -> bool:
    key: SecretStr | None = info.data.get("poststack_api_key")
    return key is None or not key.get_secret_value().startswith("sk_test_")


def _is_weak(secret: str, length: int) -> bool:
    return len(secret) < length or len(set(secret)) < 10


def load_settings(**options: str) -> Settings:
    """Read `options` and the environment, or exit with one line per problem and no values."""
    try:
        return Settings.model_validate(options)
    except ValidationError as error:
        problems = [
            f"  {'_'.join(map(str, problem['loc'])).upper()} "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise SystemExit("\n".join(["The service cannot start:", *problems])) from None
