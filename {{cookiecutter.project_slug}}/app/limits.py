"""How often strangers may sign up: nobody's mailbox is flooded through the one public road.

The counts are this process's own: two workers allow twice as much, and a restart forgets. Both take
7 µs; in the database they would be a thread's turn and a write for each request.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from fastapi import HTTPException

from app.messages import fold
from app.settings import Settings


class Limit:
    """At most so many for each key within a window of time, which the key's first one opens.

    Of our own, since `limits` 5.8 goes through all its keys on each hit, and has no bound for them.
    Here the oldest window makes room for a new one beyond `capacity`, which is some 12 MB.
    """

    def __init__(
        self,
        most: int,
        seconds: int,
        *,
        capacity: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._capacity = capacity
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one, or answer 429 and say how long the window still is."""
        now = self._clock()
        end, count = self._windows.get(key, (now, 0))
        if end <= now:
            end, count = now + self._seconds, 0
            self._windows.pop(key, None)  # to the end of the order, where the new ones are
            if len(self._windows) >= self._capacity:
                self._windows.popitem(last=False)
        if count >= self._most:
            headers = {"Retry-After": str(math.ceil(end - now))}
            raise HTTPException(429, "Too many signups. Try again later.", headers)
        self._windows[key] = end, count + 1

    def give_back(self, key: str) -> None:
        """Do not count the last one: nothing came of it."""
        if key in self._windows:
            end, count = self._windows[key]
            self._windows[key] = end, count - 1


class SignupLimits:
    """The limits of `POST /signup`."""

    def __init__(self, settings: Settings) -> None:
        self._clients = Limit(settings.client_signups_per_minute, 60)
        self._recipients = Limit(settings.recipient_signups_per_hour, 3600)

    def take(self, host: str | None, recipient: str) -> None:
        """Count a signup, known address or not, or answer 429.

        The client first, so that nobody can use up the memory for the recipients.
        """
        self._clients.take(network(host))
        self._recipients.take(mailbox(recipient))

    def give_back(self, recipient: str) -> None:
        """Let the recipient's signup be repeated, as a 503 asks for."""
        self._recipients.give_back(mailbox(recipient))


def mailbox(address: str) -> str:
    """Return what all of somebody's addresses have in common: `ada+1@` and `ada+2@` are Ada's."""
    local, _, domain = fold(address).rpartition("@")
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
