"""All that a mail carries: on the wire as PostStack documents it, and refused where it is wrong."""

import asyncio
import json
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Request, Response
from pydantic import ValidationError
from respx import MockRouter, Route

from app.addresses import with_name
from app.mail.backlog import MAX_LARGE, Backlog
from app.mail.errors import TooLargeError
from app.mail.message import Message
from tests.service import EVERYTHING, JSON, ON_THE_WIRE, Logged, Sent, problem, suppress

FILE = EVERYTHING["attachments"][0]


@pytest.mark.parametrize("path", ["/send", "/send-in-background"])
async def test_wire(path: str, service: AsyncClient, body: JSON, sent: Sent) -> None:
    """PostStack gets each field; `enqueue` has the same test in `tests/queue`."""
    assert (await service.post(path, json=body | EVERYTHING)).is_success

    [mail] = sent()
    assert mail == ON_THE_WIRE | {
        **{name: body[name] for name in ("subject", "html", "text", "idempotency_key")},
        "idempotency_window_hours": 72,
    }


@pytest.mark.usefixtures("service")
async def test_batch(app: FastAPI, router: MockRouter, body: JSON) -> None:
    """A batch takes the same fields; attachments divide it before it fills the memory."""

    def accept(request: Request) -> Response:
        return Response(202, json={"data": [{"id": "em"}] * len(emails(request))})

    def emails(request: Request) -> list[JSON]:
        mails: list[JSON] = json.loads(request.content)["emails"]
        return mails

    route = router.post(path="/emails/batch").mock(side_effect=accept)
    full = Message.model_validate(body | EVERYTHING)
    large = full.model_copy(
        update={"attachments": (full.attachments[0].model_copy(update={"content": b"x" * 6**8}),)}
    )
    too_large = full.model_copy(update={"attachments": large.attachments * 6})

    outcomes = await app.state.mailer.send_many([full, large, too_large, *[large] * 5, full])

    assert isinstance(outcomes.pop(2), TooLargeError)
    assert outcomes == ["em"] * 8
    sizes = [len(emails(call.request)) for call in route.calls]
    assert sizes == [6, 2]
    assert emails(route.calls[0].request)[0].items() >= ON_THE_WIRE.items()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("recipient", wrong) for wrong in ("ada", "Ada <ada>", "a@example.com, b@example.com")),
        ("recipient", "Ada\r\nBcc: eve@example.com <ada@example.com>"),
        ("cc", ["Ada\u202e <ada@example.com>"]),
        ("bcc", ["<>"]),
        ("reply_to", ""),
        ("headers", {"X-A": "1\r\nBcc: eve@example.com"}),
        *(("headers", {name: "1"}) for name in ("", "X A", "X:", "From", "BCC", "content-type")),
        ("tags", ["a\nb"]),
        ("tags", [""]),
        *(
            ("attachments", [FILE | {"filename": name}])
            for name in ("", "..", "a/b.txt", "..\\b.txt", "a\n.txt", "a\u202etxt.exe", "x" * 256)
        ),
        ("attachments", [FILE | {"content_type": "text"}]),
        ("attachments", [FILE | {"content_type": "text/plain\r\nX: 1"}]),
        ("scheduled_at", "2031-02-03T04:05:06"),
        ("scheduled_at", "0001-01-01T00:00:00+14:00"),
        ("tracking", {"open": True}),
    ],
)
async def test_refused(field: str, value: Any, body: JSON, service: AsyncClient) -> None:
    """Each fault is refused where the message is made, by the field's name, and not quoted."""
    with pytest.raises(ValidationError, match=field) as refused:
        Message.model_validate(body | {field: value})
    assert "eve@" not in str(refused.value)
    answer = await service.post("/send", json=body | {field: value})
    assert problem(answer) == (422, "")
    assert answer.json()["errors"][0]["field"].startswith(f"body.{field}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "ada@example.com"),
        ("Ada", "Ada <ada@example.com>"),
        ("O'Neil", "O'Neil <ada@example.com>"),
        ("Lovelace, Ada", '"Lovelace, Ada" <ada@example.com>'),
        ('Ada "Countess" <x@y>', '"Ada \\"Countess\\" <x@y>" <ada@example.com>'),
        ("Back\\slash", '"Back\\\\slash" <ada@example.com>'),
        ("Zoë 👩\u200d🚀", "Zoë 👩\u200d🚀 <ada@example.com>"),
        ("عائشة", "عائشة <ada@example.com>"),
    ],
)
def test_names(name: str, expected: str, body: JSON) -> None:
    """A name that somebody typed is quoted where it must be, once, and stays as it is."""
    mailbox = with_name(name, "ada@example.com")

    assert mailbox == expected
    assert Message.model_validate(body | {"recipient": mailbox}).recipient == expected


@pytest.mark.parametrize("field", ["cc", "bcc"])
async def test_suppressed_copy(
    field: str, app: FastAPI, service: AsyncClient, *, body: JSON, sent: Sent
) -> None:
    """A suppressed address gets no mail as a copy, either."""
    await suppress(app, "eve@example.com")

    copies = ["Bob <bob@example.com>", "Eve <EVE@example.com>"]
    answer = await service.post("/send", json=body | {field: copies})

    assert problem(answer) == (422, "")
    assert sent() == []


@pytest.mark.parametrize("path", ["/send", "/send-in-background", "/enqueue"])
async def test_too_large(
    path: str, app: FastAPI, service: AsyncClient, *, body: JSON, sent: Sent, logged: Logged
) -> None:
    """What has too much attached is refused before anything happens; the log says why."""
    settings = app.state.mailer.settings.model_copy(update={"max_attachment_bytes": 27})
    app.state.mailer = replace(app.state.mailer, settings=settings)
    two = {"attachments": [FILE, FILE | {"filename": "b.txt"}]}

    assert problem(await service.post(path, json=body | two)) == (413, "")

    assert sent() == []
    assert logged()[0]["message"] == "not sent: attachments of 28 bytes, MAX_ATTACHMENT_BYTES=27"
    assert (await service.post(path, json=body | {"attachments": [FILE]})).is_success


async def test_memory(app: FastAPI, service: AsyncClient, wire: Route, body: JSON) -> None:
    """Of messages with attachments a few are sent at once; the others wait, or are told to."""
    arrived, free = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: Request) -> Response:
        arrived.release()
        await free.wait()
        return Response(202, json={"id": "em_1"})

    wire.mock(side_effect=slow)
    app.state.mailer = replace(app.state.mailer, backlog=Backlog(max_bytes=40, timeout=0.2))
    full = body | {"attachments": [FILE]}  # 14 bytes
    asked = [asyncio.create_task(service.post("/send", json=full)) for _ in range(6)]
    for _ in range(MAX_LARGE):
        await arrived.acquire()
    path = "/send-in-background"
    asked += [asyncio.create_task(service.post(path, json=full)) for _ in range(5)]

    refused = [await answer for answer in islice(asyncio.as_completed(asked, timeout=10), 4)]
    assert {problem(answer)[0] for answer in refused} == {503}
    assert arrived.locked()
    free.set()

    statuses = [(await task).status_code for task in asked]
    assert sorted(statuses[:6]) == [200] * 4 + [503] * 2
    assert sorted(statuses[6:]) == [202] * 3 + [503] * 2
