"""The pages for people: the home page, and the API's, whose Swagger UI comes from a CDN."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from secrets import token_urlsafe
from shlex import quote

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from jinja2 import Environment, StrictUndefined, Template

from app.settings import DEVELOPMENT_API_KEY, Settings
from app.web.authentication import PUBLIC
from app.web.dependencies import SettingsDep

CDN = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"  # FastAPI's

router = APIRouter(include_in_schema=False)


@cache
def home_page() -> Template:
    """Read the home page's template."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(Path(__file__).with_name("home.html").read_text("utf-8"))


@router.get("/", openapi_extra=PUBLIC)
async def home(request: Request, settings: SettingsDep) -> HTMLResponse:
    """Link to the API's page; in local development to the mailbox, with commands that send mail."""
    nonce = token_urlsafe(16)
    page = home_page().render(
        service_name=settings.service_name,
        sandbox=settings.sandbox,
        commands=list(curl_commands(request.app, settings)) if settings.sandbox else [],
        nonce=nonce,
    )
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def curl_commands(app: FastAPI, settings: Settings) -> Iterator[tuple[str, str]]:
    """Make a command of the examples of each route that sends mail, with the route's summary."""
    keys = settings.api_keys.get_secret_value()  # those of your own are not for a page
    key = keys if keys == DEVELOPMENT_API_KEY else "$API_KEY"
    document = app.openapi()
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "mail" not in operation.get("tags", []) or "requestBody" not in operation:
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            fields = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)["properties"]
            body = {
                name: field["examples"][0] for name, field in fields.items() if "examples" in field
            }
            lines = [f"curl {settings.server_url}{path}", f"--json {quote(json.dumps(body))}"]
            if operation.get("security"):
                lines.insert(1, f'--header "Authorization: Bearer {key}"')
            yield operation["summary"], " \\\n  ".join(lines)


@router.get("/docs", openapi_extra=PUBLIC)
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
