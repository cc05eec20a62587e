"""What the service reads from its environment, checked once at start."""

import re
from pathlib import Path
from secrets import token_urlsafe
from typing import Literal, TypeVar

from pydantic import EmailStr, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SANDBOX_KEY = "sk_test_sandbox"
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105  public, and refused in production
DEVELOPMENT_API_KEY = "key_for_development"  # public, too
PLACEHOLDER_DOMAINS = ("example.com", "example.net", "example.org")

AnySettings = TypeVar("AnySettings", bound=BaseSettings)


class Settings(BaseSettings):
    """The environment variables of the same names in capitals, or a `.env` file.

    After validation no field is empty: an absent key or address has become the sandbox's
    (development) or has been refused (production).
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    fastapi_env: Literal["development", "production"] = "production"
    """Set to `development` by `fastapi dev`; anything unsafe is refused in `production`."""

    port: int = 8000
    """The port that `fastapi dev` listens on, and so the sandbox's. Not for a file `.env`, which
    FastAPI's command does not read."""

    service_name: str = "{{cookiecutter.project_name}}"
    """The service's name in the emails and on the API's pages."""

    sender_email: EmailStr = "{{cookiecutter.sender_email}}"
    """The address that mail comes from; its domain must be verified in PostStack."""

    poststack_api_key: SecretStr = SecretStr("")
    """A key with permission to send. Without one, `fastapi dev` uses the sandbox."""

    poststack_base_url: str = ""
    """Where PostStack is: its public address, or in development without a key the sandbox."""

    poststack_webhook_secret: SecretStr = SecretStr("")
    """What PostStack signs its webhooks with; it shows the secret once, with a new webhook."""

    api_keys: SecretStr = SecretStr("")
    """What our own callers show, for all that is not public. With several, and commas between
    them, callers can move to a new key before the old one is taken away."""

    client_signups_per_minute: int = Field(30, ge=1)
    """How many signups one IP address may ask each process for."""

    recipient_signups_per_hour: int = Field(10, ge=1)
    """How many signups each process takes for one address, whoever asks."""

    database_path: Path = Path("data/service.sqlite3")
    """The SQLite file of users and events; its folder is made at start."""

    @field_validator("sender_email")
    @classmethod
    def sender_is_real(cls, address: str, info: ValidationInfo) -> str:
        """Refuse, in production, the placeholder that nobody owns."""
        if in_production(info) and address.rpartition("@")[2] in PLACEHOLDER_DOMAINS:
            raise ValueError(f"is {address}, a placeholder; use an address at your own domain")
        return address

    @field_validator("poststack_api_key")
    @classmethod
    def key_is_there(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        """Fall back to the sandbox in development; production needs a key of your own."""
        value = key.get_secret_value()
        if not in_production(info):
            return key if value else SecretStr(SANDBOX_KEY)
        if not value:
            raise ValueError("is missing; create one in PostStack's dashboard")
        if not value.startswith("sk_") or value == SANDBOX_KEY:
            raise ValueError("is not a key of PostStack's; theirs begin with sk_live_ or sk_test_")
        return key

    @field_validator("poststack_base_url")
    @classmethod
    def base_url_is_safe(cls, url: str, info: ValidationInfo) -> str:
        """Find the default, and refuse to send the key in the clear."""
        key: SecretStr | None = info.data.get("poststack_api_key")
        if not url and key is not None and key.get_secret_value() == SANDBOX_KEY:
            return f"http://127.0.0.1:{info.data.get('port')}/sandbox"
        url = url or "https://api.poststack.dev"
        schemes = ("https://",) if in_production(info) else ("https://", "http://")
        if not url.startswith(schemes):
            raise ValueError(f"must begin with {' or '.join(schemes)}")
        return url

    @field_validator("poststack_webhook_secret")
    @classmethod
    def webhook_secret_is_there(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        """Never leave it empty: the SDK accepts a signature made with the empty key."""
        value = secret.get_secret_value().strip()
        if in_production(info):
            if not value:
                raise ValueError("is missing; PostStack shows it once, with a new webhook")
            if value == SANDBOX_WEBHOOK_SECRET:
                raise ValueError("is the sandbox's, which everybody knows")
        key: SecretStr | None = info.data.get("poststack_api_key")
        if not value and key is not None and key.get_secret_value() == SANDBOX_KEY:
            return SecretStr(SANDBOX_WEBHOOK_SECRET)
        # With a key of their own but no secret, nobody can sign a webhook.
        return SecretStr(value or token_urlsafe())

    @field_validator("api_keys")
    @classmethod
    def keys_cannot_be_guessed(cls, keys: SecretStr, info: ValidationInfo) -> SecretStr:
        """Fall back to a public key in development; production needs strong ones."""
        values = [key for part in keys.get_secret_value().split(",") if (key := part.strip())]
        if not in_production(info):
            values = values or [DEVELOPMENT_API_KEY]
        elif not values:
            raise ValueError("is missing; make a key with `openssl rand -hex 32`")
        elif DEVELOPMENT_API_KEY in values:
            raise ValueError("has the key of development, which everybody knows")
        elif any(len(key) < 32 or len(set(key)) < 10 for key in values):
            raise ValueError("has a key that can be guessed; make one with `openssl rand -hex 32`")
        # What RFC 6750 allows in `Authorization: Bearer`.
        if not all(re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", key) for key in values):
            raise ValueError("can have letters, digits and -._~+/= in a key, and commas between")
        return SecretStr(",".join(values))

    @property
    def sandbox(self) -> bool:
        """Whether mail goes to the sandbox on this desk; never in production."""
        return self.poststack_api_key.get_secret_value() == SANDBOX_KEY


def in_production(info: ValidationInfo) -> bool:
    """Tell what the fields before this one said; an unreadable mode counts as production."""
    return info.data.get("fastapi_env") != "development"


def load(kind: type[AnySettings]) -> AnySettings:
    """Read `kind` from the environment, or exit with one line per problem and no values."""
    try:
        return kind()
    except ValidationError as error:
        problems = [
            f"  {'_'.join(map(str, problem['loc'])).upper()} "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise SystemExit("\n".join(["The service cannot start:", *problems])) from None
