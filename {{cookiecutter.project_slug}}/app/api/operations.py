"""What those who run the service ask it."""

import asyncio
import logging

from fastapi import APIRouter, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.dependencies import DispatchDep, UsersDep
from app.problems import declared
from app.security import ApiKey

PATIENCE = 2.0
"""Seconds in which a part of the service must answer to be ready."""

logger = logging.getLogger(__name__)

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Ask whether it is alive")
async def healthz() -> dict[str, str]:
    """Answer as long as the event loop turns; asks nothing of the outside."""
    return {"status": "ok"}


@router.get("/readyz", summary="Ask whether it is ready", responses=declared(503))
async def readyz(users: UsersDep, dispatch: DispatchDep) -> dict[str, str]:
    """Say whether requests should come here: the database and the queue answer.

    For load balancers, not for what restarts the service: that would help no database. PostStack
    is not asked; while it is away, each road still has an answer.
    """
    checks = {
        "database": asyncio.create_task(users.ready()),
        "queue": asyncio.create_task(dispatch.ready()),
    }
    await asyncio.wait(checks.values(), timeout=PATIENCE)
    unready = []
    for part, check in checks.items():
        if not check.done():
            check.cancel()
            logger.warning("%s not ready: no answer within %s s", part, PATIENCE)
        elif error := check.exception():
            logger.warning("%s not ready: %r", part, error)
        else:
            continue
        unready.append(part)
    if unready:
        raise HTTPException(503, f"Not ready: {', '.join(unready)}.", {"Retry-After": "2"})
    return {"status": "ready"}


@router.get("/metrics", include_in_schema=False, dependencies=[ApiKey])
async def metrics() -> Response:
    """Return this process's counters in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
