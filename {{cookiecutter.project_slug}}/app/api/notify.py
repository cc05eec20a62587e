"""Background: sent after the response. A crash loses it, and nobody but the log hears of it."""

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel, ConfigDict

from app import emails
from app.api.signup import Signup
from app.dependencies import BackgroundDep, EventsDep, SettingsDep
from app.events import refuse_suppressed
from app.problems import declared
from app.security import ApiKey

router = APIRouter(tags=["mail"])


class Notice(Signup):
    """Somebody who is to be told something."""


class Noted(BaseModel):
    """The mail will be sent soon."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"idempotency_key": "notice:2f1e9d0c-5b7a-4c55-9d3e-8a1b6c4d2e0f"}]
        },
        use_attribute_docstrings=True,
    )

    idempotency_key: str
    """The key under which the log speaks of this mail."""


@router.post(
    "/notify",
    summary="Send a notice",
    status_code=202,
    dependencies=[ApiKey],
    responses=declared(400, 401, 413, 422, 503),
)
async def notify(
    body: Notice,
    after: BackgroundTasks,
    background: BackgroundDep,
    events: EventsDep,
    settings: SettingsDep,
) -> Noted:
    """Send a notice of low value, soon.

    Not for mail that matters: what waits in this process is lost when it crashes. 503 means that
    too much waits already.
    """
    message = emails.notice(body.email, body.name, settings)
    await refuse_suppressed(message, events)
    background.take_room()
    after.add_task(background.send, message)
    return Noted(idempotency_key=message.idempotency_key)
