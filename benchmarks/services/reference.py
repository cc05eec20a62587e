"""The service of the vendor's guide, as it stands there.

Its `create_user`, which the guide leaves to the reader, is the generated service's.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from app.database import open_database
from app.examples.signup.users import Users
from app.migrations import prepare_database
from app.settings import load_settings
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from guide import SignupBody, welcome
from poststack import AsyncPostStack


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the one client."""
    async with (
        open_database(settings) as database,
        AsyncPostStack(
            api_key=os.environ["POSTSTACK_API_KEY"], base_url=os.environ["POSTSTACK_BASE_URL"]
        ) as ps,
    ):
        app.state.users = Users(database)
        app.state.poststack = ps
        yield


settings = load_settings()
prepare_database(settings)
app = FastAPI(lifespan=lifespan)


def get_poststack(request: Request) -> AsyncPostStack:
    """Inject the shared client, as the guide does: with `def`, so in a thread."""
    poststack: AsyncPostStack = request.app.state.poststack
    return poststack


PostStackDep = Annotated[AsyncPostStack, Depends(get_poststack)]


@app.get("/healthz")
async def healthz() -> None:
    """Not in the guide: the benchmark waits for it."""


@app.post("/signup")
async def signup(body: SignupBody, request: Request, ps: PostStackDep) -> dict[str, Any]:
    """Store the user and send a welcome mail."""
    users: Users = request.app.state.users
    await users.add(body.email, body.name)
    result = await ps.emails.send(welcome(body))
    return {"ok": True, "email_id": result["id"]}


@app.post("/notify")
async def notify(body: SignupBody, bg: BackgroundTasks, ps: PostStackDep) -> dict[str, bool]:
    """Send after the response."""
    bg.add_task(
        ps.emails.send,
        {
            "from": "hello@yourdomain.com",
            "to": [body.email],
            "subject": "Heads up",
            "html": "<p>Something happened.</p>",
        },
    )
    return {"queued": True}
