"""API keys: every route needs one, unless it is marked `PUBLIC`."""

from secrets import compare_digest
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.web.dependencies import SettingsDep

bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="One of `API_KEYS`.")


async def require_api_key(
    settings: SettingsDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> None:
    """Answer 401 without a valid API key."""
    if credentials is None:
        raise HTTPException(
            401,
            "Missing API key. Send `Authorization: Bearer <key>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    given = credentials.credentials.encode()
    # Each key, and each to its end: the time that it takes tells nothing about them.
    keys = settings.api_keys.get_secret_value().split(",")
    if not sum(compare_digest(given, key.encode()) for key in keys):
        raise HTTPException(
            401,
            "Invalid API key.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )


ApiKey = Depends(require_api_key)
"""For a route's `dependencies`."""

PUBLIC: dict[str, Any] = {"security": []}
"""For the `openapi_extra` of a route that anybody may call: what OpenAPI calls no security."""
