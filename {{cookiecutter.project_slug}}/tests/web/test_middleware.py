"""What every request gets: an id, a limit to its size, headers for browsers."""

import re
from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient

from app.web.middleware import MAX_BODY_SIZE, SECURITY_HEADERS
from tests.service import problem


async def test_made_id(service: AsyncClient) -> None:
    """Without an id, or with one that no log should hold, every request gets its own."""
    given = [{b"X-Request-ID": id_.encode()} for id_ in ("", "a b", 'a"', "a\tb", "ä", "a" * 129)]
    answers = [await service.get("/healthz", headers=headers) for headers in (*given, {}, {})]
    ids = {answer.headers["x-request-id"] for answer in answers}

    assert len(ids) == len(answers)
    assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids)


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Send a body without saying how long it is."""
    for start in range(0, size, 2**16):
        yield b" " * min(2**16, size - start)


async def unread() -> AsyncIterator[bytes]:
    """Fail when somebody reads it."""
    raise AssertionError
    yield b""


async def test_long_body(service: AsyncClient) -> None:
    """Reading ends at the limit; what says itself that it is longer is not read at all."""
    assert problem(await service.post("/send", content=chunks(MAX_BODY_SIZE + 1))) == (413, "")
    assert problem(await service.post("/send", content=chunks(MAX_BODY_SIZE))) == (422, "")
    announced = {"Content-Length": "99999999999"}
    assert problem(await service.post("/send", content=unread(), headers=announced)) == (413, "")


async def test_headers(service: AsyncClient) -> None:
    """Responses are what they say, kept by nobody, framed by nobody, and read by no other site.

    Also where FastAPI itself refuses a request: that is a problem document like any other.
    """
    service.headers["Origin"] = "https://evil.example"
    responses = [
        await service.get("/nowhere"),
        await service.get("/send"),
        await service.options("/send", headers={"Access-Control-Request-Method": "POST"}),
        await service.post("/send", content=chunks(MAX_BODY_SIZE + 1)),
        await service.get("/bug"),
        await service.get("/metrics", headers={"Authorization": ""}),
    ]

    assert [problem(answer)[0] for answer in responses] == [404, 405, 405, 413, 500, 401]
    assert responses[1].headers["allow"] == "POST"
    for response in (*responses, await service.get("/healthz")):
        assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"])
async def test_head(path: str, service: AsyncClient) -> None:
    """HEAD is answered as GET is, without the body."""
    got, head = await service.get(path), await service.head(path)

    assert (head.status_code, head.content) == (200, b"")
    kept = ("content-type", "content-length")
    assert path == "/metrics" or [head.headers[name] for name in kept] == [
        got.headers[name] for name in kept
    ]
    assert problem(await service.get("/nowhere")) == (404, "")
    assert (await service.head("/nowhere")).status_code == 404


async def test_slash(service: AsyncClient) -> None:
    """Nobody is sent to an address that the request's host names."""
    answer = await service.post("/send/", json={}, headers={"Host": "evil.example"})
    assert problem(answer) == (404, "")
