"""How often strangers may sign up, so that nobody's mailbox is flooded through a public route."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from fastapi import HTTPException

from app.addresses import normalize_address
from app.database import Database
from app.mail.message import utc_now

COUNT = """
INSERT INTO signup_windows (mailbox, count, ends_at) VALUES ($1, 1, $2)
ON CONFLICT (mailbox) DO UPDATE SET
    count = CASE WHEN signup_windows.ends_at > $3 THEN signup_windows.count + 1 ELSE 1 END,
    ends_at = CASE WHEN signup_windows.ends_at > $3 THEN signup_windows.ends_at ELSE $2 END
RETURNING count, ends_at
"""

UNDO = """
UPDATE signup_windows SET count = CASE WHEN count > $2 THEN $2 ELSE count END - 1 WHERE mailbox = $1
"""
"""Those that were refused are counted, too, and must not keep out the repeat of the one undone."""

FORGET = "DELETE FROM signup_windows WHERE ends_at <= $1"

WITHOUT_DOTS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Domains at which dots in a name mean nothing, and which of them are one."""


class RecipientLimit:
    """At most `limit` signups in an hour for one mailbox, whoever sends them, in all processes.

    The first one opens the hour. It is in the database, so a restart or a flood of other addresses
    does not make it forget.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit

    async def count(self, address: str) -> None:
        """Count a signup, or answer 429 with the seconds until the hour is over."""
        now = utc_now()
        values = (mailbox(address), now + timedelta(hours=1), now)
        [(count, ends_at)] = await self._database.fetch(COUNT, *values)
        if count > self._limit:
            # SQLite gives a text.
            end = datetime.fromisoformat(ends_at) if isinstance(ends_at, str) else ends_at
            raise too_many_signups((end - now).total_seconds())

    async def undo(self, address: str) -> None:
        """Take the last signup off the count."""
        await self._database.fetch(UNDO, mailbox(address), self._limit)

    async def forget(self) -> None:
        """Delete the hours that are over."""
        await self._database.fetch(FORGET, utc_now())


class Limit:
    """At most `limit` requests for each key within a window of time, which the first one opens.

    The counts are this process's own, so that a flood costs the database nothing.

    Of our own, since `limits` 5.8 goes through all its keys on each hit, and has no bound for them.
    Here the oldest window makes room for a new one beyond `capacity`, which is some 12 MB.
    """

    def __init__(
        self, limit: int, seconds: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.capacity = 50_000
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, key: str) -> None:
        """Count a request, or answer 429 with the seconds until the window closes."""
        now = self._clock()
        end, count = self._windows.get(key, (now, 0))
        if end <= now:
            end, count = now + self._seconds, 0
            self._windows.pop(key, None)  # to the end of the order, where the new ones are
            if len(self._windows) >= self.capacity:
                self._windows.popitem(last=False)
        if count >= self._limit:
            raise too_many_signups(end - now)
        self._windows[key] = end, count + 1


def too_many_signups(seconds: float) -> HTTPException:
    """Build the answer to a signup that comes so many seconds too early."""
    headers = {"Retry-After": str(math.ceil(seconds))}
    return HTTPException(429, "Too many signups. Try again later.", headers)


def mailbox(address: str) -> str:
    """Return what all of somebody's addresses have in common: `ada+1@` and `ada+2@` are Ada's."""
    local, _, domain = normalize_address(address).rpartition("@")
    local = local.partition("+")[0]
    if domain in WITHOUT_DOTS:
        local, domain = local.replace(".", ""), WITHOUT_DOTS[domain]
    return f"{local}@{domain}"


def network(host: str | None) -> str:
    """Return what a client cannot change at will: its IPv4 address, or the first half of its IPv6.

    Without a readable address, as behind a proxy on a Unix socket, all clients are one.
    """
    try:
        address = ip_address(host or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return str(address)
