"""`POST /notify`: sent in the background, and each is a mail of its own."""

from httpx import AsyncClient

from tests.service import Sent, problem

NOTIFY = {"email": "ada@example.com", "name": "Ada"}


async def test_notify(service: AsyncClient, sent: Sent) -> None:
    """202 with the key of the log; two notices are two mails; a malformed recipient is refused."""
    bodies = [NOTIFY | {"name": "A" * length} for length in (1, 100)]
    first, second = [await service.post("/notify", json=body) for body in bodies]
    assert problem(await service.post("/notify", json=NOTIFY | {"email": "ada"})) == (422, "")

    assert first.status_code == 202
    keys = [response.json()["idempotency_key"] for response in (first, second)]
    assert [mail["idempotency_key"] for mail in sent()] == keys
    assert len(set(keys)) == 2
    mail = sent()[0]
    assert (mail["to"], mail["text"].splitlines()[0]) == (["A <ada@example.com>"], "Hello A,")
    assert (mail["unsubscribe"], mail["tags"]) == (True, ["notice"])
