"""Who may ask, and how much: what strangers, long requests and other sites' pages get."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import respx
from fastapi import FastAPI
from pydantic import SecretStr

from app import api
from app.dispatch import DispatchSettings
from app.main import create_app
from app.security import HEADERS, MAX_BYTES
from app.settings import DEVELOPMENT_API_KEY
from tests.test_problems import problem
from tests.test_roads import ORDER, SIGNUP

PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/signup"),
    ("POST", "/webhooks/poststack"),  # signed
}
PAGES = {("GET", "/"), ("GET", "/docs")}
"""Public, too, and not in the API's description."""
PRIVATE = {
    ("GET", "/events/em_1"): None,
    ("GET", "/metrics"): None,
    ("POST", "/notify"): SIGNUP,
    ("POST", "/receipts"): ORDER,
}


@asynccontextmanager
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, "Bearer"),
        ("", "Bearer"),
        ("Bearer", "Bearer"),
        (DEVELOPMENT_API_KEY, "Bearer"),
        (f"Basic {DEVELOPMENT_API_KEY}", "Bearer"),
        (f"Bearer {DEVELOPMENT_API_KEY}x", 'Bearer error="invalid_token"'),
        (f"Bearer {DEVELOPMENT_API_KEY[:-1]}", 'Bearer error="invalid_token"'),
        (f"Bearer {DEVELOPMENT_API_KEY},", 'Bearer error="invalid_token"'),
        ("Bearer ,", 'Bearer error="invalid_token"'),
        ("Bearer \xe9", 'Bearer error="invalid_token"'),
    ],
)
async def test_strangers(
    authorization: str | None, challenge: str, app: FastAPI, wire: respx.Route
) -> None:
    """Without one of the keys no private route does anything, and the answer says what it wants."""
    headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
    async with stranger(app) as client:
        for (method, path), body in PRIVATE.items():
            response = await client.request(method, path, json=body, headers=headers)
            assert problem(response) == (401, "")
            assert response.headers["www-authenticate"] == challenge
    assert not wire.called


def test_every_route(settings: DispatchSettings) -> None:
    """A new route is private, or a decision; the API's description says which."""
    security = {
        (method.upper(), path.format(email_id="em_1")): operation.get("security")
        for path, operations in create_app(settings).openapi()["paths"].items()
        for method, operation in operations.items()
    }
    described = PRIVATE.keys() - {("GET", "/metrics")}
    assert security == dict.fromkeys(PUBLIC) | {key: [{"ApiKey": []}] for key in described}

    # And those that the description does not have, as FastAPI does not tell them.
    code = "".join(path.read_text("utf-8") for path in Path(api.__file__).parent.glob("*.py"))
    found = re.findall(r'@router\.(\w+)\(\s*"([^"]+)"', code)
    written = {(method.upper(), path.format(email_id="em_1")) for method, path in found}
    assert written == PAGES | PUBLIC | PRIVATE.keys()


@pytest.mark.parametrize("key", ["new", "old"])
async def test_rotation(key: str, settings: DispatchSettings, wire: respx.Route) -> None:
    """While keys are changed, both open the door."""
    app = create_app(settings.model_copy(update={"api_keys": SecretStr("new,old")}))
    async with app.router.lifespan_context(app), stranger(app) as client:
        for (method, path), body in PRIVATE.items():
            if path != "/receipts":  # which may lead to a queue
                headers = {"Authorization": f"Bearer {key}"}
                response = await client.request(method, path, json=body, headers=headers)
                assert response.is_success
    assert wire.called


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Send a body without saying how long it is."""
    for start in range(0, size, 2**16):
        yield b" " * min(2**16, size - start)


@pytest.mark.parametrize("path", ["/signup", "/notify", "/receipts", "/webhooks/poststack"])
@pytest.mark.parametrize("announced", [True, False])
async def test_long_requests(path: str, announced: bool, service: httpx.AsyncClient) -> None:
    """Nobody can fill the memory: reading ends at the limit, wherever and however it is sent."""

    def body(size: int) -> bytes | AsyncIterator[bytes]:
        return b" " * size if announced else chunks(size)

    assert problem(await service.post(path, content=body(MAX_BYTES + 1))) == (413, "")
    assert problem(await service.post(path, content=body(MAX_BYTES)))[0] in (401, 422)


async def test_announced(app: FastAPI) -> None:
    """What says itself that it is too long is not read at all."""
    sent: list[MutableMapping[str, object]] = []

    async def receive() -> dict[str, object]:
        raise AssertionError("it was read")

    async def send(message: MutableMapping[str, object]) -> None:
        sent.append(message)

    headers = [(b"content-length", b"99999999999")]
    scope = {"type": "http", "method": "POST", "path": "/signup", "query_string": b""}
    await app(scope | {"headers": headers}, receive, send)

    assert sent[0]["status"] == 413


@pytest.mark.usefixtures("bug")
async def test_headers(service: httpx.AsyncClient) -> None:
    """Answers are what they say, are kept by nobody, framed by nobody, and name no page of ours."""
    answers = [
        await service.get("/healthz"),
        await service.get("/metrics"),
        await service.get("/openapi.json"),
        await service.get("/nowhere"),
        await service.get("/signup"),
        await service.post("/signup", content=chunks(MAX_BYTES + 1)),
        await service.post("/signup", json={}),
        await service.post("/signup", json=SIGNUP),
        await service.get("/metrics", headers={"Authorization": ""}),
    ]

    assert [a.status_code for a in answers] == [200, 200, 200, 404, 405, 413, 422, 500, 401]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


async def test_docs(settings: DispatchSettings) -> None:
    """The API's page runs its own script and Swagger UI, whatever the service is called."""
    app = create_app(settings.model_copy(update={"service_name": "</title><script>alert(1)"}))
    async with stranger(app) as client:
        page = await client.get("/docs")
        assert (await client.get("/redoc")).status_code == 404

    [script] = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    policy = dict(
        rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; ")
    )
    assert policy["script-src"] == (
        "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
        f" 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_other_sites(service: httpx.AsyncClient) -> None:
    """No page of another site may call the API with what a browser knows, or read its answers."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        await service.options("/receipts", headers=asked),
        await service.get("/healthz", headers=asked),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
