"""`Suppressions`: what comes later counts, in whichever order it is told."""

import asyncio
from datetime import datetime, timedelta

import pytest

from app.database import Database, open_database
from app.mail.message import utc_now
from app.mail.suppressions import Suppressions
from app.settings import Settings
from tests.databases import at

ADA = "ada@example.com"


@pytest.fixture
def suppressions(database: Database) -> Suppressions:
    """Those of either database."""
    return Suppressions(database)


async def test_add(suppressions: Suppressions) -> None:
    """An address is suppressed once, for its first reason, in all its spellings; others are not."""
    now = utc_now()
    assert await suppressions.find(ADA) is None
    assert await suppressions.add("Ada <ADA@Example.com>", "hard_bounce", now, "em_1")
    assert not await suppressions.add(ADA, "complaint", now + timedelta(hours=1), "em_2")
    assert await suppressions.add("ada@münchen.de", "manual", now)

    found = await suppressions.find(" ADA@example.com.")
    assert found
    assert (str(found), found.email_id) == ("suppressed: hard_bounce", "em_1")
    assert await suppressions.find("ada@xn--mnchen-3ya.de")
    assert await suppressions.find("eve@example.com") is None
    rows = await suppressions.list()
    assert [row[:3] for row in rows] == [
        ("ada@example.com", "hard_bounce", "em_1"),
        ("ada@xn--mnchen-3ya.de", "manual", None),
    ]
    assert {datetime.fromisoformat(str(row.since)) for row in rows} == {now}


@pytest.mark.parametrize("was_known", [True, False])
async def test_remove(suppressions: Suppressions, *, was_known: bool) -> None:
    """What happened before an address was taken off is over, also if it is learnt of later."""
    before = utc_now()
    if was_known:
        await suppressions.add(ADA, "hard_bounce", before, "em_1")
    assert await suppressions.remove("ADA <ada@example.com>") == was_known
    assert not await suppressions.add(ADA, "hard_bounce", before, "em_1")
    assert await suppressions.find(ADA) is None
    assert await suppressions.list() == []

    between = utc_now()
    assert not await suppressions.remove(ADA)
    assert not await suppressions.add(ADA, "complaint", between)
    assert await suppressions.add(ADA, "complaint", utc_now(), "em_2")
    [row] = await suppressions.list()
    assert row[:3] == (ADA, "complaint", "em_2")


async def test_processes(settings: Settings, database_url: str) -> None:
    """Of many who suppress or take off at once one does, and all know it at once."""
    settings = at(settings, database_url)
    async with open_database(settings) as here, open_database(settings) as there:
        stores, now = (Suppressions(here), Suppressions(there)), utc_now()
        added = await asyncio.gather(*(store.add(ADA, "complaint", now) for store in stores * 5))
        found = [await store.find(ADA) for store in stores]
        removed = await asyncio.gather(*(store.remove(ADA) for store in stores * 5))
        left = [await store.find(ADA) for store in stores]
    assert (added.count(True), removed.count(True)) == (1, 1)
    assert all(found)
    assert left == [None, None]


@pytest.mark.parametrize("address", ["", "ada", "<ada@example.com>, <eve@example.com>"])
async def test_no_address(suppressions: Suppressions, address: str) -> None:
    """What is no address is refused, and nothing stored."""
    with pytest.raises(ValueError, match="is not an address"):
        await suppressions.add(address, "manual", utc_now())
    with pytest.raises(ValueError, match="is not an address"):
        await suppressions.remove(address)
    assert await suppressions.list() == []
