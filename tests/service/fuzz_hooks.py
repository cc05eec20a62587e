"""Sign schemathesis's webhooks as the sandbox does, or none would get beyond the signature."""

import hashlib
import hmac
from typing import Any

import schemathesis
from requests import PreparedRequest

HEADER = "X-PostStack-Signature"


def sign(request: PreparedRequest) -> PreparedRequest:
    """Replace the signature, unless the request is to have none."""
    if HEADER in request.headers:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else bytes(body)  # type: ignore[arg-type]
        digest = hmac.new(b"whsec_sandbox", data, hashlib.sha256).hexdigest()
        request.headers[HEADER] = f"sha256={digest}"
    return request


@schemathesis.hook
def before_call(
    _: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """Sign what is about to be sent."""
    if case.path == "/webhooks/poststack":
        kwargs["auth"] = sign
