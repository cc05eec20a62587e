"""Test recipients: addresses that make every outcome reachable by hand.

This table is the only list of them: the sandbox acts on it and the mailbox page shows it.
`name+anything@...` works too, for when an address has been used up (bounced once, say).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.errors import ApiError
from sandbox.validation import split_address

DOMAIN = "sandbox.poststack.dev"


@dataclass(frozen=True)
class Recipient:
    """A local part, and what happens to a message to it: a wait, an error, or events."""

    name: str
    effect: str
    events: tuple[str, ...] = ("delivered",)
    """What comes after `sent`."""
    error: ApiError | None = None
    """Its text may name the {recipient} and the sender's {domain}."""
    failures: int | None = None
    """How many attempts get the error before one is accepted; None is all."""
    wait: float = 0

    @property
    def address(self) -> str:
        """The address to send to."""
        return f"{self.name}@{DOMAIN}"


ORDINARY = Recipient("delivered", "Accepted and delivered, as any other address is.")

TEST_RECIPIENTS = (
    ORDINARY,
    Recipient("bounced", "Accepted, then a hard bounce.", ("bounced",)),
    Recipient("complained", "Delivered, then reported as spam.", ("delivered", "complained")),
    Recipient("unsubscribed", "Delivered, then unsubscribed from.", ("delivered", "unsubscribed")),
    Recipient(
        "suppressed",
        "422: the recipient is on the suppression list.",
        error=ApiError(422, "Recipient is suppressed: {recipient}"),
    ),
    Recipient(
        "unverified",
        "422: the sender's domain is not verified.",
        error=ApiError(422, "Domain not verified: {domain}"),
    ),
    Recipient(
        "throttled",
        "429 with Retry-After: 1 on the first attempt, accepted on the second.",
        error=ApiError(429, "Rate limit exceeded"),
        failures=1,
    ),
    Recipient(
        "quota",
        "429 monthly_limit_exceeded, without Retry-After: trying again does not help.",
        error=ApiError(429, "Monthly sending limit reached", code="monthly_limit_exceeded"),
    ),
    Recipient(
        "flaky",
        "500 on the first two attempts, accepted on the third.",
        error=ApiError(500, "Internal server error"),
        failures=2,
    ),
    Recipient("down", "500, always.", error=ApiError(500, "Internal server error")),
    Recipient(
        "timeout",
        "No answer for 60 seconds; nothing is accepted if the caller leaves before.",
        wait=60,
    ),
    Recipient(
        "unauthorized",
        "401: as if the API key were wrong.",
        error=ApiError(401, "Invalid API key"),
    ),
    Recipient(
        "forbidden",
        "403: as if the API key were not allowed to send.",
        error=ApiError(403, "API key does not have permission"),
    ),
)

_BY_NAME = {recipient.name: recipient for recipient in TEST_RECIPIENTS}


def find_test_recipient(addresses: Iterable[str]) -> tuple[Recipient, str]:
    """The first test recipient and its address as written; an ordinary one if there is none."""
    bare = [split_address(address)[1] for address in addresses]
    for address in bare:
        local, _, domain = address.lower().rpartition("@")
        recipient = _BY_NAME.get(local.partition("+")[0])
        if recipient and domain == DOMAIN:
            return recipient, address
    return ORDINARY, bare[0]
