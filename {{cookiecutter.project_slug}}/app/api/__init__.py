"""The routes: each turns a request into a message and puts it on one of the three roads."""

from fastapi import APIRouter

from app.api import notify, operations, receipts, signup
from app.problems import declared

router = APIRouter(responses=declared(422, 500))
router.include_router(signup.router)
router.include_router(notify.router)
router.include_router(receipts.router)
router.include_router(operations.router)
