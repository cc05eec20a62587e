"""API keys: what is one, and how they are changed."""

import pytest
from httpx import AsyncClient
from pydantic import SecretStr

from app.settings import Settings
from tests.service import problem


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings while keys are changed."""
    return settings.model_copy(update={"api_keys": SecretStr("new,old")})


async def test_rotation(service: AsyncClient) -> None:
    """While keys are changed, both are valid."""
    for key in ("new", "old"):
        response = await service.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert response.status_code == 200
        assert "mail_accepted_total" in response.text


@pytest.mark.parametrize(
    "given", ["Bearer", "Basic new", "Bearer ne", "Bearer newx", "Bearer \xe9"]
)
async def test_refused(given: str, service: AsyncClient) -> None:
    """Without one of the keys there is a 401, which says what to send."""
    headers = {b"Authorization": given.encode("latin-1")}
    response = await service.get("/metrics", headers=headers)

    assert problem(response) == (401, "")
    error = ' error="invalid_token"' if given.startswith("Bearer ") else ""
    assert response.headers["www-authenticate"] == f"Bearer{error}"
