"""Health checks and metrics, for those who run the service."""

import asyncio
import logging

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.web.authentication import PUBLIC, ApiKey
from app.web.problems import problem_responses

READINESS_TIMEOUT = 2.0
"""Seconds in which the database and the queue must answer."""

logger = logging.getLogger(__name__)

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Liveness probe", openapi_extra=PUBLIC)
async def healthz() -> dict[str, str]:
    """Answer as long as the event loop runs, whatever else is down."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Readiness probe",
    openapi_extra=PUBLIC,
    responses=problem_responses(503),
)
async def readyz(request: Request) -> dict[str, str]:
    """Answer 200 while the database and the queue answer.

    For load balancers, not to restart the service. While PostStack is down, callers are told so.
    """
    checks = {"database": request.app.state.database, "queue": request.app.state.publisher}
    errors = await asyncio.gather(
        *(asyncio.wait_for(each.check(), READINESS_TIMEOUT) for each in checks.values()),
        return_exceptions=True,
    )
    unready = []
    for name, error in zip(checks, errors, strict=True):
        if error:
            logger.warning("%s not ready: %r", name, error)
            unready.append(name)
    if unready:
        raise HTTPException(503, f"Not ready: {', '.join(unready)}.", {"Retry-After": "2"})
    return {"status": "ready"}


@router.get("/metrics", include_in_schema=False, dependencies=[ApiKey])
async def metrics() -> Response:
    """Return this process's counters in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
