"""Background: sent after the response. A crash loses it, and nobody but the log hears of it."""

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel

from app import emails
from app.api.signup import Signup
from app.delivery import send_or_log
from app.dependencies import EventsDep, PostStackDep, SettingsDep
from app.events import refuse_suppressed

router = APIRouter(tags=["mail"])


class Noted(BaseModel):
    """The key under which the log speaks of this mail."""

    idempotency_key: str


@router.post("/notify", status_code=202)
async def notify(
    body: Signup,
    background: BackgroundTasks,
    events: EventsDep,
    poststack: PostStackDep,
    settings: SettingsDep,
) -> Noted:
    """Send a notice of low value, soon.

    Not for mail that matters: what waits in this process is lost when it stops.
    """
    message = emails.notice(body.email, body.name, settings)
    await refuse_suppressed(message, events)
    background.add_task(send_or_log, poststack, message)
    return Noted(idempotency_key=message.idempotency_key)
