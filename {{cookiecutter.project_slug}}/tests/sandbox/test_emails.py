"""`/emails` as the SDK uses it: send, batch, get, list, cancel, reschedule."""

from typing import Any

import anyio
import httpx
import pytest
from poststack import AsyncPostStack, PostStackError
from poststack.types import Email, PaginationMeta

from sandbox.main import create_sandbox

SOME_DAY = "2999-01-01T09:00:00Z"


async def test_send(poststack: AsyncPostStack, email: Any) -> None:
    """A valid email is answered with an `em_` id and nothing else."""
    answer = await poststack.emails.send(email)
    assert list(answer) == ["id"]
    assert answer["id"].startswith("em_")


async def test_exact_json_is_kept(poststack: AsyncPostStack, email: Any, inbox: Any) -> None:
    """The body is stored as it was posted, unknown fields and foreign letters included."""
    email |= {
        "cc": ["Grace <grace@example.com>"],
        "bcc": ["alan@example.com"],
        "reply_to": "help@example.com",
        "headers": {"X-Order": "42"},
        "tags": ["receipt"],
        "attachments": [{"filename": "räcéipt.txt", "content": "MTIuNTA=", "content_id": "a"}],
        "variables": {"name": "Åda"},
        "tracking": {"opens": False},
        "not_yet_invented": [1, 2.5, None],
    }
    await poststack.emails.send(email)
    assert [message["body"] for message in await inbox()] == [email]


async def test_get_and_list_have_the_shapes_of_the_sdk(
    poststack: AsyncPostStack, email: Any
) -> None:
    """`get` answers {"email": ...} with events, `list` answers {"data": ..., "meta": ...}."""
    sent = await poststack.emails.send(email | {"tags": ["receipt"]})

    got = Email.model_validate((await poststack.emails.get(sent["id"]))["email"])
    assert got.public_id == sent["id"]
    assert (got.from_name, got.from_address) == ("Shop", "shop@example.com")
    assert (got.to_addresses, got.tags) == (["ada@example.com"], ["receipt"])
    assert [event.type for event in got.events or []][:1] == ["queued"]

    page = await poststack.emails.list()
    assert [Email.model_validate(item).public_id for item in page["data"]] == [sent["id"]]
    assert PaginationMeta.model_validate(page["meta"]).total == 1


async def test_list_pages_newest_first(poststack: AsyncPostStack, email: Any) -> None:
    """Pages are counted from 1 and begin with the newest email."""
    emails = [email | {"subject": f"No. {number}"} for number in range(5)]
    await poststack.emails.batch({"emails": emails})
    page = await poststack.emails.list({"page": 2, "per_page": 2})
    assert [item["subject"] for item in page["data"]] == ["No. 2", "No. 1"]
    assert page["meta"] == {"page": 2, "perPage": 2, "total": 5, "totalPages": 3}


@pytest.mark.parametrize(
    "filters",
    [
        {"to": "GRACE@"},
        {"from": "other@example"},
        {"subject": "WELCOME"},
        {"tag": "hello"},
        {"status": "failed"},
        {"subject": "über", "tag": "hello"},
    ],
)
async def test_list_filters(poststack: AsyncPostStack, email: Any, filters: Any) -> None:
    """Addresses and subjects match in part and in any case; tags and statuses match whole."""
    wanted = await poststack.emails.send(
        {
            "from": "other@example.com",
            "to": ["grace@example.com"],
            "subject": "Welcome, Über-Grace",
            "text": "Hello",
            "tags": ["hello"],
            "scheduled_at": SOME_DAY,
        }
    )
    await poststack.emails.cancel(wanted["id"])
    await poststack.emails.send(email | {"tags": ["hello-again"]})
    page = await poststack.emails.list(filters)
    assert [item["publicId"] for item in page["data"]] == [wanted["id"]]


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"per_page": 101}, {"page": "x"}, {"status": "lost"}]
)
async def test_wrong_filters_are_refused(poststack: AsyncPostStack, query: Any) -> None:
    """A query parameter out of range is a 400 in PostStack's shape, not FastAPI's."""
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.list(query)
    assert (refused.value.status_code, refused.value.code) == (400, "invalid_request")
    assert next(iter(query)) in refused.value.error


async def test_batch_queues_each_for_itself(
    poststack: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """A refused email has its error in its place, and the others are accepted all the same."""
    to_suppressed = email | {"to": ["suppressed@sandbox.poststack.dev"]}
    answer = await poststack.emails.batch(
        {"emails": [email, email | {"to": []}, to_suppressed, "not an email", email]}
    )
    first, nobody, suppressed, text, last = answer["data"]
    assert [message["id"] for message in await inbox()] == [last["id"], first["id"]]
    assert (nobody["code"], nobody["error"][:4]) == ("invalid_request", "to: ")
    assert suppressed == {
        "error": "Recipient is suppressed: suppressed@sandbox.poststack.dev",
        "code": "unprocessable_entity",
    }
    assert text["code"] == "invalid_request"


async def test_batch_of_more_than_100_is_refused_whole(
    poststack: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """100 emails are accepted in one call; of 101 none is."""
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.batch({"emails": [email] * 101})
    assert (refused.value.status_code, refused.value.code) == (422, "unprocessable_entity")
    assert await inbox() == []
    await poststack.emails.batch({"emails": [email] * 100})
    assert len(await inbox()) == 100


@pytest.mark.parametrize("body", [{}, {"emails": []}, {"emails": "no"}])
async def test_batch_without_emails_is_refused(poststack: AsyncPostStack, body: Any) -> None:
    """A batch is a list of at least one email."""
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.batch(body)
    assert (refused.value.status_code, refused.value.code) == (400, "invalid_request")


async def test_scheduled_email_waits(poststack: AsyncPostStack, email: Any) -> None:
    """A scheduled email stays queued while others are delivered."""
    sent = await poststack.emails.send(email | {"scheduled_at": SOME_DAY})
    await anyio.sleep(0.1)
    waiting = (await poststack.emails.get(sent["id"]))["email"]
    assert waiting["status"] == "queued"
    assert waiting["scheduledAt"] == "2999-01-01T09:00:00.000Z"


async def test_cancelled_email_stays_cancelled(poststack: AsyncPostStack, email: Any) -> None:
    """Cancelled it has failed; neither cancelling nor rescheduling it is possible any more."""
    sent = await poststack.emails.send(email | {"scheduled_at": SOME_DAY})
    assert await poststack.emails.cancel(sent["id"]) == {"success": True}
    assert (await poststack.emails.get(sent["id"]))["email"]["status"] == "failed"
    for again in (
        poststack.emails.cancel(sent["id"]),
        poststack.emails.reschedule(sent["id"], SOME_DAY),
    ):
        with pytest.raises(PostStackError) as refused:
            await again
        assert (refused.value.status_code, refused.value.code) == (409, "conflict")


async def test_rescheduled_email_leaves_at_its_new_time(
    poststack: AsyncPostStack, email: Any, inbox: Any, until: Any
) -> None:
    """A scheduled email that is moved to the past is delivered, and cannot be stopped then."""
    sent = await poststack.emails.send(email | {"scheduled_at": SOME_DAY})
    answer = await poststack.emails.reschedule(sent["id"], "2020-01-01T00:00:00+02:00")
    assert answer == {"success": True}

    async def delivered() -> bool:
        return bool((await inbox())[0]["status"] == "delivered")

    await until(delivered)
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.cancel(sent["id"])
    assert (refused.value.status_code, refused.value.code) == (409, "conflict")


async def test_reschedule_wants_a_time(poststack: AsyncPostStack, email: Any) -> None:
    """`scheduled_at` of a reschedule is an ISO 8601 time, as it is of a send."""
    sent = await poststack.emails.send(email | {"scheduled_at": SOME_DAY})
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.reschedule(sent["id"], "tomorrow")
    assert (refused.value.status_code, refused.value.code) == (400, "invalid_request")


async def test_unknown_email_is_not_found(poststack: AsyncPostStack) -> None:
    """Every call about one email answers 404 when there is none of that id."""
    for asking in (
        poststack.emails.get("em_none"),
        poststack.emails.cancel("em_none"),
        poststack.emails.reschedule("em_none", SOME_DAY),
    ):
        with pytest.raises(PostStackError) as refused:
            await asking
        assert (refused.value.status_code, refused.value.code) == (404, "not_found")


@pytest.mark.parametrize("api_key", ["sk_test_other", "pk_test_sandbox", "sk_"])
async def test_another_key_is_unauthorized(
    shared_url: str, email: Any, inbox: Any, api_key: str
) -> None:
    """Without the configured key the answer is 401, before anything else is looked at."""
    async with AsyncPostStack(api_key, base_url=shared_url) as stranger:
        for asking in (
            stranger.emails.send(email),
            stranger.emails.send({}),
            stranger.emails.list(),
        ):
            with pytest.raises(PostStackError) as refused:
                await asking
            assert (refused.value.status_code, refused.value.code) == (401, "unauthorized")
    assert await inbox() == []


async def test_every_answer_has_a_request_id(
    poststack: AsyncPostStack, http: httpx.AsyncClient
) -> None:
    """Refusals name their request to the SDK; no two answers have the same name."""
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.send({})
    ids = {refused.value.request_id}
    for path in ("/", "/messages", "/static/mailbox.js", "/nothing"):
        ids.add((await http.get(path)).headers["x-request-id"])
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/domains", 404, "not_found"), ("PUT", "/emails", 405, "invalid_request")],
)
async def test_framework_refusals_have_the_same_shape(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    """What the router refuses is told in PostStack's shape too."""
    answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["error"]


async def test_bug_has_the_same_shape(serve: Any, http: httpx.AsyncClient) -> None:
    """Even when the sandbox itself fails, the SDK gets what it can read."""
    sandbox = create_sandbox()
    sandbox.state.sandbox.store._connection.close()
    answer = await http.get(f"{serve(sandbox)}/messages")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"]
