"""PostStack's `/suppressions`, as the SDK calls it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from sandbox.dependencies import SandboxDep, authenticate
from sandbox.errors import ApiError
from sandbox.validation import Suppression, read_json, split_address, validate

router = APIRouter(prefix="/suppressions", dependencies=[Depends(authenticate)])


@router.get("")
async def list_suppressions(
    sandbox: SandboxDep,
    page: Annotated[int, Query(ge=1)] = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """Page through the addresses that get no mail, the latest first."""
    offset = (page - 1) * per_page
    found, total = sandbox.store.suppressions(limit=per_page, offset=offset)
    pages = {"page": page, "total_pages": -(-total // per_page)}
    return {"suppressions": found, "pagination": pages}


@router.post("", status_code=201)
async def add(request: Request, sandbox: SandboxDep) -> dict[str, bool]:
    """Refuse mail to an address from now on; one that is listed keeps its reason."""
    suppression = validate(Suppression, read_json(await request.body()))
    sandbox.store.suppress(split_address(suppression.email)[1], suppression.reason)
    return {"success": True}


@router.delete("/{email:path}")
async def remove(email: str, sandbox: SandboxDep) -> dict[str, bool]:
    """Accept mail to an address again."""
    if not sandbox.store.unsuppress(email):
        raise ApiError(404, "Suppression not found")
    return {"success": True}
