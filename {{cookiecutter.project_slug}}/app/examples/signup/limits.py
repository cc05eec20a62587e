"""How often strangers may sign up, so that nobody's mailbox is flooded through a public route.

The counts are this process's own: two processes allow twice as much, and a restart forgets them.
Both take 7 µs; in the database they would be a thread's turn and a write for each request.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from fastapi import HTTPException

from app.mail.message import normalize_address


class Limit:
    """At most `limit` requests for each key within a window of time, which the first one opens.

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
            headers = {"Retry-After": str(math.ceil(end - now))}
            raise HTTPException(429, "Too many signups. Try again later.", headers)
        self._windows[key] = end, count + 1

    def undo(self, key: str) -> None:
        """Take the last request off the count."""
        if key in self._windows:
            end, count = self._windows[key]
            self._windows[key] = end, count - 1


def mailbox(address: str) -> str:
    """Return what all of somebody's addresses have in common: `ada+1@` and `ada+2@` are Ada's."""
    local, _, domain = normalize_address(address).rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


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
