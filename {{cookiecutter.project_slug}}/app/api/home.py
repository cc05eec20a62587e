"""The first page that a person opens."""

from pathlib import Path
from secrets import token_urlsafe

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import StrictUndefined, Template

from app.dependencies import SettingsDep
from app.settings import DEVELOPMENT_API_KEY

PAGE = Template(
    Path(__file__).with_name("home.html").read_text(encoding="utf-8"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

router = APIRouter()


@router.get("/", include_in_schema=False)
async def home(settings: SettingsDep) -> HTMLResponse:
    """Point to the API's description, and on a desk to the mailbox."""
    nonce = token_urlsafe(16)
    keys = settings.api_keys.get_secret_value()  # those of your own are not for a page
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(
        PAGE.render(
            service_name=settings.service_name,
            sandbox=settings.sandbox,
            key=keys if keys == DEVELOPMENT_API_KEY else "$API_KEY",
            url=f"http://127.0.0.1:{settings.port}",
            nonce=nonce,
        ),
        headers={"Content-Security-Policy": policy},
    )
