"""The API's description for people: Swagger UI, which comes from a CDN and may do nothing else."""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from app.dependencies import SettingsDep

CDN = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
"""Where FastAPI has it from."""

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def docs(settings: SettingsDep) -> HTMLResponse:
    """FastAPI's own page, with a policy that knows its one script by its hash."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=escape(settings.service_name),
        swagger_js_url=f"{CDN}swagger-ui-bundle.js",
        swagger_css_url=f"{CDN}swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    [script] = re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    digest = b64encode(sha256(script).digest()).decode()
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {CDN} 'sha256-{digest}'; style-src {CDN} 'unsafe-inline';"
        " img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    return page
