"""The client: PostStack's SDK over connections that hold under load, and that break like any."""

import asyncio
import json
import os
import re
import subprocess

import pytest
from httpx import Request, Response
from poststack import AsyncPostStack
from respx import Route

from app.mail.client import check_connection, find_proxy, open_poststack
from app.mail.message import Message
from app.mail.sender import payload, send
from app.settings import Settings
from tests.service import run


async def test_same_as_the_sdk(
    settings: Settings, poststack: AsyncPostStack, wire: Route, message: Message
) -> None:
    """What leaves is what the SDK sends by itself: a new SDK that asks for more is noticed."""
    url, key = settings.base_url(), settings.poststack_api_key.get_secret_value()
    async with AsyncPostStack(key, base_url=url) as theirs:
        await theirs.emails.send(payload(message))
    await poststack.emails.send(payload(message))

    expected, ours = (call.request for call in wire.calls)
    assert json.loads(ours.content) == json.loads(expected.content)
    for name in ("authorization", "content-type", "user-agent"):
        assert ours.headers[name] == expected.headers[name]
    assert len(ours.headers["idempotency-key"]) == len(expected.headers["idempotency-key"])


async def test_connections(settings: Settings, wire: Route, message: Message) -> None:
    """There are as many connections as sends at once, and they stay.

    With httpx's pool it would be one for each send; with aiohttp's own limit some sends would wait
    for as long as others go on: of 150 callers, some for all of five seconds.
    """

    async def slow(_: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(202, json={"id": "em_1"})

    wire.mock(side_effect=slow)
    async with open_poststack(settings) as poststack:
        for _ in range(3):
            await asyncio.gather(*(send(poststack, message) for _ in range(120)))

    connections = [call.request.extensions["client"] for call in wire.calls]
    assert (len(connections), len(set(connections))) == (360, 120)


@pytest.fixture
def elsewhere(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a PostStack that is not on this machine, and no exception from proxies."""
    monkeypatch.delenv("no_proxy")
    return settings.model_copy(update={"poststack_base_url": "http://poststack.test"})


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
async def test_proxy(  # noqa: PLR0917  fixtures
    variable: str,
    settings: Settings,
    elsewhere: Settings,
    wire: Route,
    message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment's proxy is asked, with the password in its URL."""
    monkeypatch.setenv(variable, settings.base_url().replace("//", "//proxy:secret@"))

    async with open_poststack(elsewhere) as poststack:
        assert await send(poststack, message) == "em_1"

    [asked] = (call.request for call in wire.calls)
    assert asked.extensions["target"] == "http://poststack.test/emails"
    assert asked.headers["proxy-authorization"].startswith("Basic ")


async def test_no_proxy_to_this_machine(
    settings: Settings, wire: Route, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on this machine, such as the sandbox, is asked directly, and `NO_PROXY` unneeded."""
    monkeypatch.delenv("no_proxy")
    for variable in ("http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "socks5://127.0.0.1:9")

    async with open_poststack(settings) as poststack:
        assert await send(poststack, message) == "em_1"

    [direct] = (call.request for call in wire.calls)
    assert direct.extensions["target"] == "/emails"
    assert "no_proxy" not in os.environ


def test_sandbox_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a proxy asked for the sandbox of a server that the network reaches."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert find_proxy(Settings(fastapi_env="development", bind_host="192.0.2.1")) is None


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://planted:planted@127.0.0.1:1080",
        "socks5h://planted",
        "socks://planted",
        "ftp://planted",
        "http://",
        "planted:planted",
        "http://[planted",
    ],
)
def test_other_proxies(proxy: str, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that aiohttp cannot use is refused in one line, unless PostStack is reached without."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SystemExit) as caught:
        check_connection(elsewhere)
    assert re.fullmatch(r"The service cannot start: ALL_PROXY .*\.", str(caught.value))
    assert "planted" not in str(caught.value)

    monkeypatch.setenv("NO_PROXY", "poststack.test")
    check_connection(elsewhere)
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    check_connection(elsewhere)


def test_proxy_without_a_scheme(elsewhere: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is HTTP, as for other programs."""
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    assert find_proxy(elsewhere) == "http://proxy:3128"


def test_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificate authorities that are not there are one line, too."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("SSL_CERT_FILE", "missing.pem")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("import app.main")
    assert re.fullmatch(r"The service cannot start: .*SSL_CERT_FILE.*\n", caught.value.stderr)


# % if cookiecutter.queue_backend == "arq"
WORKER = "import runpy; runpy.run_module('app.queue.worker', run_name='__main__')"
# % elif cookiecutter.queue_backend == "celery"
WORKER = "from app.queue.worker import prepare; prepare()"
# % endif
PROGRAMS = [
    "import app.main",
    "import sys, runpy; sys.argv[1:] = ['list'];"
    "runpy.run_module('app.commands.suppressions', run_name='__main__')",
    # % if cookiecutter.queue_backend != "none"
    WORKER,
    # % endif
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_refuse(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program that sends to PostStack says so when it is started, without a stack trace."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("POSTSTACK_API_KEY", "sk_test_of_the_tests")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(program)
    assert re.fullmatch(r"The service cannot start: ALL_PROXY .*\.\n", caught.value.stderr)
