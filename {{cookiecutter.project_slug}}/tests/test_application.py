"""How the service is put together, started, and found by its sandbox."""

import asyncio
import socket

import pytest
import uvicorn
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from respx import MockRouter

from app.application import create_app
from app.development import server_options
from app.settings import Settings
from app.web.dependencies import PostStackDep
from tests.service import AUTHORIZED, JSON, problem, router, run

PROGRAM = """
import os, app.application
os.environ |= {"FASTAPI_ENV": "development", "PORT": "8002"}
from app.main import settings
print(settings.server_url, settings.sandbox)
"""


def test_main() -> None:
    """Only `app.main` reads the environment, and the server's command line, which wins."""
    done = run(PROGRAM, "dev", "--host", "::1")

    assert done.stdout == "http://[::1]:8002 True\n"
    assert "Mailbox: http://[::1]:8002/sandbox/" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ("dev --port 8001", "http://127.0.0.1:8001"),
        ("dev app/main.py --port=8001 --host ::1", "http://[::1]:8001"),
        ("app.main:app --host=0.0.0.0 --reload", "http://127.0.0.1:8000"),
        ("dev --host ::", "http://[::1]:8000"),
    ],
)
def test_server_options(arguments: str, url: str) -> None:
    """The options of `fastapi dev` and uvicorn say where the service, and so its sandbox, is."""
    options = server_options(arguments.split())
    settings = Settings(fastapi_env="development").model_copy(update=options)
    assert (settings.server_url, settings.base_url()) == (url, f"{url}/sandbox")


async def test_poststack(app: FastAPI, service: AsyncClient, router: MockRouter) -> None:
    """`get_poststack` gives a route the SDK, for what `Mailer` does not wrap."""
    domains = router.get(path="/domains").respond(json={"domains": []})

    @app.get("/domains")
    async def list_domains(poststack: PostStackDep) -> object:
        return await poststack.domains.list()

    assert (await service.get("/domains")).status_code == 200
    assert domains.called


async def test_sandbox(settings: Settings, body: JSON) -> None:
    """The whole loop: a mail bounces in the sandbox, its webhook arrives, the next is refused."""
    bounced = "bounced@sandbox.poststack.dev"
    listener = socket.create_server(("127.0.0.1", 0))
    settings = Settings(
        fastapi_env="development",
        port=listener.getsockname()[1],
        database_url=settings.database_url,
    )
    app = create_app(settings)
    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with (
        asyncio.timeout(10),
        AsyncClient(base_url=settings.server_url, headers=AUTHORIZED) as service,
    ):
        first = await service.post("/send", json=body | {"recipient": bounced})
        while not await app.state.mailer.suppressions.find(bounced):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        second = await service.post("/send", json=body | {"recipient": bounced})
        page = await service.get("/sandbox", follow_redirects=True)
        for link in ("static/mailbox.css", "static/mailbox.js"):
            assert f'"{link}"' in page.text
            assert (await service.get(page.url.join(link))).status_code == 200
        assert problem(await service.get("/sandboxes")) == (404, "")
        mails = (await service.get("/sandbox/messages")).json()["messages"]
    server.should_exit = True
    await serving

    assert problem(second) == (422, "")
    assert page.url == f"{settings.sandbox_url}/"
    # The sandbox counts what it is sent again: it was not called.
    assert [(mail["id"], mail["repeats"]) for mail in mails] == [(first.json()["email_id"], 0)]
    # None of the service's middleware sees the sandbox's requests.
    assert "x-content-type-options" not in page.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 200) for host in ("localhost", "api:8000", "mail.localhost:8000", "dev.acme.dev")),
        *((host, 200) for host in ("127.0.0.1:8000", "192.168.1.2", "[::1]:8000")),
        *((host, 421) for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example")),
    ],
)
async def test_hosts(host: str, status: int, settings: Settings) -> None:
    """In local development no foreign page reads the mailbox by a name of its own."""
    settings = Settings(
        fastapi_env="development", bind_host="dev.acme.dev", database_url=settings.database_url
    )
    transport = ASGITransport(create_app(settings))
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        for path in ("/", "/sandbox/", "/sandbox/previews"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code == status
            policy = answer.headers.get("content-security-policy", "")
            assert ("frame-ancestors 'none'" in policy) == (status == 200)
