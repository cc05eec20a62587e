"""Who gets no mail: `python -m app.commands.suppressions list | add | remove ADDRESS | sync`."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
from poststack import AsyncPostStack, PostStackError
from pydantic import AliasChoices, AwareDatetime, BaseModel, Field, ValidationError

from app.database import DatabaseError, open_database
from app.mail.addresses import normalize_address
from app.mail.client import open_poststack
from app.mail.message import utc_now
from app.mail.suppressions import Suppressions
from app.settings import Settings, load_settings


class Listed(BaseModel):
    """An address on PostStack's list; the SDK's types have other names than PostStack's page."""

    email: str
    reason: str
    created_at: AwareDatetime = Field(validation_alias=AliasChoices("created_at", "createdAt"))


class Page(BaseModel):
    """A page of PostStack's list."""

    suppressions: list[Listed]
    total_pages: int = Field(1, validation_alias=AliasChoices("total_pages", "totalPages"))


async def listed_by_poststack(poststack: AsyncPostStack) -> AsyncIterator[Listed]:
    """Read all pages of PostStack's list."""
    number = last = 1
    while number <= last:
        answer: Any = await poststack.suppressions.list({"page": number})
        page = Page.model_validate(answer | answer.get("pagination", {}))
        for each in page.suppressions:
            yield each
        number, last = number + 1, page.total_pages


async def sync(suppressions: Suppressions, poststack: AsyncPostStack) -> str:
    """Suppress whom PostStack suppresses, for all reasons."""
    found = added = 0
    async for each in listed_by_poststack(poststack):
        found += 1
        added += await suppressions.add(each.email, each.reason, each.created_at)
    return f"PostStack suppresses {found} addresses, of which {added} are new here."


async def add(suppressions: Suppressions, poststack: AsyncPostStack, address: str) -> str:
    """Suppress an address, here and at PostStack."""
    await poststack.suppressions.add({"email": address, "reason": "manual"})
    is_new = await suppressions.add(address, "manual", utc_now())
    return "Suppressed." if is_new else "Was suppressed already."


async def remove(suppressions: Suppressions, poststack: AsyncPostStack, address: str) -> str:
    """Take an address off both lists."""
    try:
        await poststack.suppressions.remove(address)
    except PostStackError as error:
        if error.status_code != httpx.codes.NOT_FOUND:
            raise
    was_suppressed = await suppressions.remove(address)
    return "Gets mail again." if was_suppressed else "Was not suppressed here."


async def table(suppressions: Suppressions) -> str:
    """Write a line for each address: since when, why, after which mail."""
    rows = await suppressions.list()
    lines = [
        f"{since if isinstance(since, str) else datetime.isoformat(since)}"
        f"  {reason}  {address}  {email_id or ''}".rstrip()
        for address, reason, email_id, since in rows
    ]
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


def main() -> None:
    """Read the command line and the environment, and run."""
    parser = argparse.ArgumentParser(prog="python -m app.commands.suppressions")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    for name in ("add", "remove"):
        commands.add_parser(name).add_argument("address", type=normalize_address)
    commands.add_parser("sync")
    options = parser.parse_args()
    try:
        address = getattr(options, "address", "")
        print(asyncio.run(run(load_settings(), options.command, address)))  # noqa: T201  for whoever runs it
    except (DatabaseError, PostStackError, httpx.HTTPError, ValidationError) as error:
        raise SystemExit(f"Not done: {error}") from None


if __name__ == "__main__":
    main()
