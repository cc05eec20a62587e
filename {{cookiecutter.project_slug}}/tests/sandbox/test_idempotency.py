"""One reason, one message: repeats of a key are absorbed, and counted."""

from typing import Any

import anyio
import httpx
import pytest
from poststack import AsyncPostStack, PostStackError

from sandbox.main import create_sandbox


async def test_repeat_has_the_same_id(poststack: AsyncPostStack, email: Any, inbox: Any) -> None:
    """A key seen before gives the first id again, marked as replayed, and no second message."""
    keyed = email | {"idempotency_key": "receipt:1", "idempotency_window_hours": 72}
    first = await poststack.emails.send(keyed)
    for _ in range(2):
        assert await poststack.emails.send(keyed) == first | {"replayed": True}
    assert [(mail["id"], mail["repeats"]) for mail in await inbox()] == [(first["id"], 2)]


async def test_concurrent_repeats_give_one_message(
    poststack: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """Twenty callers with one key at the same time get one id and make one message."""
    ids: list[str] = []

    async def send() -> None:
        sent = await poststack.emails.send(email | {"idempotency_key": "receipt:1"})
        ids.append(sent["id"])

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(send)

    assert ids == [ids[0]] * 20
    assert [(mail["id"], mail["repeats"]) for mail in await inbox()] == [(ids[0], 19)]


async def test_key_belongs_to_one_email(poststack: AsyncPostStack, email: Any, inbox: Any) -> None:
    """Another email under the same key is a 422: a replay would report a mail that never was."""
    keyed = email | {"idempotency_key": "receipt:1"}
    await poststack.emails.send(keyed)
    with pytest.raises(PostStackError) as refused:
        await poststack.emails.send(keyed | {"subject": "Another"})
    assert (refused.value.status_code, refused.value.code) == (422, "unprocessable_entity")
    assert len(await inbox()) == 1


def test_key_is_free_again_after_its_window(email: Any) -> None:
    """Once the window has closed, the same key makes a new message."""
    store = create_sandbox().state.sandbox.store
    first, _ = store.accept(email, key="receipt:1", hours=0, scheduled_at=None)
    second, repeated = store.accept(email, key="receipt:1", hours=1, scheduled_at=None)
    third, repeated_again = store.accept(email, key="receipt:1", hours=1, scheduled_at=None)
    assert (second != first, repeated) == (True, False)
    assert (third, repeated_again) == (second, True)


async def test_keys_work_inside_a_batch(poststack: AsyncPostStack, email: Any, inbox: Any) -> None:
    """A repeat is recognised between a single send and a batch."""
    keyed = email | {"idempotency_key": "receipt:1"}
    single = await poststack.emails.send(keyed)
    answer = await poststack.emails.batch({"emails": [keyed, email]})
    assert answer["data"][0] == single | {"replayed": True}
    assert len(await inbox()) == 2


async def test_without_a_key_each_call_is_a_message(
    poststack: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """The SDK's header is new with every call, so it joins no two of them."""
    await poststack.emails.send(email)
    await poststack.emails.send(email)
    assert len(await inbox()) == 2


@pytest.mark.parametrize("path", ["/emails", "/emails/batch"])
async def test_header_joins_the_retries_of_one_call(
    http: httpx.AsyncClient, email: Any, inbox: Any, path: str
) -> None:
    """Requests under one `Idempotency-Key` header, as the SDK's retries are, count once."""
    headers = {"Authorization": "Bearer sk_test_sandbox", "Idempotency-Key": "one-call"}
    body = {"emails": [email, email]} if path.endswith("batch") else email
    for _ in range(2):
        assert (await http.post(path, json=body, headers=headers)).status_code == 202
    assert {mail["repeats"] for mail in await inbox()} == {1}
    assert len(await inbox()) == (2 if path.endswith("batch") else 1)
