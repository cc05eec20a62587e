"""`Mailer`: three ways to send, and none leads to a suppressed recipient."""

import asyncio
from dataclasses import replace
from itertools import islice

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Request, Response
from respx import Route

from app.mail.backlog import Backlog
from tests.service import JSON, Logged, Sent, counter, problem, suppress


@pytest.mark.parametrize("path", ["/send", "/send-in-background", "/enqueue"])
async def test_suppressed(
    path: str, app: FastAPI, service: AsyncClient, *, body: JSON, sent: Sent, logged: Logged
) -> None:
    """A route that does not think of suppression mails no suppressed recipient, and logs that."""
    await suppress(app, "Zoë@Example.com")
    skipped = counter("mail_skipped_total")

    answer = await service.post(path, json=body | {"recipient": "ZOË@example.COM"})

    assert answer.status_code == (202 if path == "/send-in-background" else 422)
    assert sent() == []
    [line] = logged()
    assert line["message"] == "not sent, recipient suppressed: hard_bounce"
    assert line["idempotency_key"] == "test:1"
    assert counter("mail_skipped_total") == skipped + 1


@pytest.mark.parametrize(("path", "status"), [("/send", 200), ("/send-in-background", 202)])
async def test_sent(
    path: str, status: int, service: AsyncClient, *, body: JSON, sent: Sent, logged: Logged
) -> None:
    """The mail arrives, and its line in the log belongs to the request; requests do not mix."""
    keys = {f"request-{n}": f"test:{n}" for n in range(5)}
    answers = await asyncio.gather(
        *(
            service.post(path, json=body | {"idempotency_key": key}, headers={"X-Request-ID": id_})
            for id_, key in keys.items()
        )
    )

    assert {answer.status_code for answer in answers} == {status}
    assert answers[0].json() == ({"email_id": "em_1"} if path == "/send" else None)
    assert {mail["idempotency_key"] for mail in sent()} == set(keys.values())
    lines = [line for line in logged() if line["message"].startswith("accepted by PostStack")]
    assert {line["request_id"]: line["idempotency_key"] for line in lines} == keys


async def test_background_failure(
    service: AsyncClient, wire: Route, body: JSON, logged: Logged
) -> None:
    """Where nobody waits, a failure is an error in the log, under the message's key, and counts."""
    wire.respond(401)
    failed = counter("mail_failed_total")

    assert (await service.post("/send-in-background", json=body)).status_code == 202

    line = logged()[-1]
    assert (line["level"], line["idempotency_key"]) == ("ERROR", "test:1")
    assert line["message"].startswith("not sent, and not tried again: PostStack answered")
    assert counter("mail_failed_total") == failed + 1


async def test_backlog(app: FastAPI, service: AsyncClient, wire: Route, body: JSON) -> None:
    """Beyond the limit callers get a 503 at once, and nothing is sent; later it is taken again."""
    app.state.mailer = replace(app.state.mailer, backlog=Backlog(max_pending=2))
    free = asyncio.Event()

    async def slow(_: Request) -> Response:
        await free.wait()
        return Response(202, json={"id": "em_1"})

    wire.mock(side_effect=slow)
    # All at once; the client of the tests has the answer to an accepted one when it is sent.
    asked = [asyncio.create_task(service.post("/send-in-background", json=body)) for _ in range(10)]
    refused = [await answer for answer in islice(asyncio.as_completed(asked, timeout=5), 8)]
    free.set()

    assert {problem(answer) for answer in refused} <= {(503, "1"), (503, "2")}
    assert [(await task).status_code for task in asked].count(202) == 2
    assert wire.call_count == 2
    assert (await service.post("/send-in-background", json=body)).status_code == 202
