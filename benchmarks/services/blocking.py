"""The guide's service with the sync client in a `def` handler, which runs in a thread."""

import os
from typing import Any

from fastapi import FastAPI
from guide import SignupBody, welcome
from poststack import PostStack

app = FastAPI()
poststack = PostStack(
    api_key=os.environ["POSTSTACK_API_KEY"], base_url=os.environ["POSTSTACK_BASE_URL"]
)


@app.get("/healthz")
def healthz() -> None:
    """Answer the benchmark, which waits for it."""


@app.post("/signup")
def signup(body: SignupBody) -> dict[str, Any]:
    """Send a welcome mail."""
    result = poststack.emails.send(welcome(body))
    return {"ok": True, "email_id": result["id"]}
