"""Recipients that make every outcome reachable by hand.

This table is the only list of them: the sandbox acts on it and the mailbox page shows it.
`name+anything@...` works too, for when an address has been used up (bounced once, say).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.validation import split_address

DOMAIN = "sandbox.poststack.dev"


@dataclass(frozen=True)
class Refusal:
    """An error answer; `error` may name the {recipient} and the sender's {domain}."""

    status: int
    error: str
    code: str | None = None
    retry_after: int | None = None
    times: int | None = None
    """How often one message is refused before it is accepted; None is always."""


@dataclass(frozen=True)
class MagicRecipient:
    """A local part, and what a message to it meets: a wait, a refusal, or events."""

    name: str
    effect: str
    events: tuple[str, ...] = ("sent", "delivered")
    refusal: Refusal | None = None
    wait: float = 0

    @property
    def address(self) -> str:
        """What to type."""
        return f"{self.name}@{DOMAIN}"


ORDINARY = MagicRecipient("delivered", "Accepted and delivered, as any other address is.")

MAGIC_RECIPIENTS = (
    ORDINARY,
    MagicRecipient("bounced", "Accepted, then a hard bounce.", events=("sent", "bounced")),
    MagicRecipient(
        "complained",
        "Delivered, then reported as spam.",
        events=("sent", "delivered", "complained"),
    ),
    MagicRecipient(
        "unsubscribed",
        "Delivered, then unsubscribed from.",
        events=("sent", "delivered", "unsubscribed"),
    ),
    MagicRecipient(
        "suppressed",
        "422: the recipient is on the suppression list.",
        refusal=Refusal(422, "Recipient is suppressed: {recipient}"),
    ),
    MagicRecipient(
        "unverified",
        "422: the sender's domain is not verified.",
        refusal=Refusal(422, "Domain not verified: {domain}"),
    ),
    MagicRecipient(
        "throttled",
        "429 with Retry-After: 1 on the first attempt, accepted on the second.",
        refusal=Refusal(429, "Rate limit exceeded", retry_after=1, times=1),
    ),
    MagicRecipient(
        "quota",
        "429 monthly_limit_exceeded, without Retry-After: trying again does not help.",
        refusal=Refusal(429, "Monthly sending limit reached", code="monthly_limit_exceeded"),
    ),
    MagicRecipient(
        "flaky",
        "500 on the first two attempts, accepted on the third.",
        refusal=Refusal(500, "Internal server error", times=2),
    ),
    MagicRecipient("down", "500, always.", refusal=Refusal(500, "Internal server error")),
    MagicRecipient(
        "timeout",
        "No answer for 60 seconds; nothing is accepted if the caller leaves before.",
        wait=60,
    ),
    MagicRecipient(
        "unauthorized",
        "401: as if the API key were wrong.",
        refusal=Refusal(401, "Invalid API key"),
    ),
    MagicRecipient(
        "forbidden",
        "403: as if the API key were not allowed to send.",
        refusal=Refusal(403, "API key does not have permission"),
    ),
)

_BY_NAME = {magic.name: magic for magic in MAGIC_RECIPIENTS}


def find_magic(recipients: Iterable[str]) -> tuple[MagicRecipient, str]:
    """The first magic recipient and its address as written; an ordinary one when there is none."""
    first = ""
    for recipient in recipients:
        address = split_address(recipient)[1]
        first = first or address
        local, _, domain = address.lower().rpartition("@")
        magic = _BY_NAME.get(local.partition("+")[0])
        if magic and domain == DOMAIN:
            return magic, address
    return ORDINARY, first
