"""The routes. Those of mail turn a request into a message and put it on one of three roads."""

from fastapi import APIRouter

from app.api import docs, events, home, notify, operations, receipts, signup
from app.problems import declared

router = APIRouter(responses=declared(500))
router.include_router(signup.router)
router.include_router(notify.router)
router.include_router(receipts.router)
router.include_router(events.router)
router.include_router(operations.router)
router.include_router(docs.router)
router.include_router(home.router)
