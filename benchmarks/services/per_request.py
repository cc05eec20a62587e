"""The guide's service with a new client for each request."""

import os
from typing import Any

from fastapi import FastAPI
from guide import SignupBody, welcome
from poststack import AsyncPostStack

app = FastAPI()


@app.get("/healthz")
async def healthz() -> None:
    """Answer the benchmark, which waits for it."""


@app.post("/signup")
async def signup(body: SignupBody) -> dict[str, Any]:
    """Send a welcome mail."""
    async with AsyncPostStack(
        api_key=os.environ["POSTSTACK_API_KEY"], base_url=os.environ["POSTSTACK_BASE_URL"]
    ) as poststack:
        result = await poststack.emails.send(welcome(body))
    return {"ok": True, "email_id": result["id"]}
