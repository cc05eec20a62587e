"""A FastAPI app that does nothing, with httpx imported: the least that a service of mail holds."""

import httpx
from fastapi import FastAPI

app = FastAPI()


@app.get("/healthz")
async def healthz() -> str:
    """Answer the benchmark, which waits for it."""
    return httpx.__version__
