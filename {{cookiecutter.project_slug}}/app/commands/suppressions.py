"""Who gets no mail: `python -m app.commands.suppressions list | add | remove ADDRESS | sync`."""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
from poststack import AsyncPostStack, PostStackError
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    Field,
    ValidationError,
)

from app.addresses import normalize_address, unicode_address
from app.database import DatabaseError, open_database
from app.mail.client import check_connection, open_poststack
from app.mail.fields import Time
from app.mail.message import utc_now
from app.mail.suppressions import Suppressions
from app.migrations import prepare_database
from app.settings import Settings, load_settings
from app.text import printable


class Listed(BaseModel):
    """An address on PostStack's list; the SDK's types have other names than PostStack's page."""

    email: Annotated[str, AfterValidator(normalize_address)]
    reason: str
    created_at: Time = Field(validation_alias=AliasChoices("created_at", "createdAt"))


class Page(BaseModel):
    """A page of PostStack's list."""

    suppressions: list[Any]
    total_pages: int = Field(
        validation_alias=AliasChoices(
            AliasPath("pagination", "total_pages"), AliasPath("pagination", "totalPages")
        )
    )


async def listed_by_poststack(poststack: AsyncPostStack) -> AsyncIterator[Any]:
    """Read all pages of PostStack's list."""
    number = last = 1
    while number <= last:
        page = Page.model_validate(await poststack.suppressions.list({"page": number}))
        for each in page.suppressions:
            yield each
        number, last = number + 1, page.total_pages


async def sync(suppressions: Suppressions, poststack: AsyncPostStack) -> str:
    """Suppress whom PostStack suppresses, for all reasons. What cannot be read is skipped."""
    found = added = 0
    skipped = []
    async for entry in listed_by_poststack(poststack):
        try:
            each = Listed.model_validate(entry)
        except ValidationError as error:
            skipped.append(f"Skipped {entry!a:.200}; see {fields(error)}.")
            continue
        found += 1
        added += await suppressions.add(each.email, each.reason, each.created_at)
    summary = f"PostStack suppresses {found} addresses, of which {added} are new here."
    return "\n".join([*skipped, summary])


async def add(suppressions: Suppressions, poststack: AsyncPostStack, address: str) -> str:
    """Suppress an address, here and at PostStack."""
    await poststack.suppressions.add({"email": address, "reason": "manual"})
    is_new = await suppressions.add(address, "manual", utc_now())
    return "Suppressed." if is_new else "Was suppressed already."


async def remove(suppressions: Suppressions, poststack: AsyncPostStack, address: str) -> str:
    """Take an address off both lists; first off PostStack's, which may refuse."""
    for spelling in {address, unicode_address(address)}:
        try:
            await poststack.suppressions.remove(spelling)
        except PostStackError as error:
            if error.status_code != httpx.codes.NOT_FOUND:
                raise
    was_suppressed = await suppressions.remove(address)
    return "Gets mail again." if was_suppressed else "Was not suppressed here."


async def table(suppressions: Suppressions) -> str:
    """Write a line for each address: since when, why, after which mail."""
    lines = []
    for address, reason, email_id, since in await suppressions.list():
        time = datetime.fromisoformat(since) if isinstance(since, str) else since
        words = (f"{time.astimezone(UTC):%Y-%m-%d %H:%M}", reason, address, email_id or "")
        lines.append(printable("  ".join(words).rstrip()))
    return "\n".join(lines) or "No address is suppressed."


async def run(settings: Settings, command: str, address: str) -> str:
    """Run a command, and return what it has to say."""
    async with open_database(settings) as database, open_poststack(settings) as poststack:
        suppressions = Suppressions(database)
        match command:
            case "add":
                return await add(suppressions, poststack, address)
            case "remove":
                return await remove(suppressions, poststack, address)
            case "sync":
                return await sync(suppressions, poststack)
        return await table(suppressions)


def fields(error: ValidationError) -> str:
    """Name the fields at fault, without their values."""
    return ", ".join(".".join(map(str, fault["loc"])) or "the whole" for fault in error.errors())


def reason_of(error: Exception) -> str:
    """Say in one line what went wrong."""
    match error:
        case PostStackError():
            said = f"PostStack answered {error.status_code} {error.code or ''}".rstrip()
            words = re.sub(r"\b(sk|whsec)_\w+", "<secret>", str(error.error))
            return f"{said}: {printable(words)}"
        case ValidationError():
            return f"PostStack's list cannot be read; see {fields(error)}"
        case DatabaseError():
            return str(error)
        case ValueError():
            return "PostStack's answer is not JSON"
    return f"PostStack not reached: {error}"


def main() -> None:
    """Read the command line and the environment, and run."""
    parser = argparse.ArgumentParser(prog="python -m app.commands.suppressions")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="write all, by address")
    for name, effect in (("add", "send no more mail to"), ("remove", "send mail again to")):
        commands.add_parser(name, help=f"{effect} an address").add_argument("address")
    commands.add_parser("sync", help="add what is on PostStack's list; nightly, say")
    options = parser.parse_args()
    address = ""
    if "address" in options:
        try:
            address = normalize_address(options.address)
        except ValueError:
            raise SystemExit(f"Not done: {options.address!r} is not an address.") from None
    settings = load_settings()
    check_connection(settings)
    prepare_database(settings)
    try:
        print(asyncio.run(run(settings, options.command, address)))  # noqa: T201  for whoever runs it
    except (DatabaseError, PostStackError, httpx.HTTPError, ValueError) as error:
        raise SystemExit(f"Not done: {reason_of(error)}") from None


if __name__ == "__main__":
    main()
