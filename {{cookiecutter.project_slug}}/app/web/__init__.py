"""The API around the mail: who may call it, what errors look like, and the service's own routes."""

from fastapi import APIRouter

from app.web import emails, health, pages, webhooks

router = APIRouter()
router.include_router(webhooks.router)
router.include_router(emails.router)
router.include_router(health.router)
router.include_router(pages.router)
