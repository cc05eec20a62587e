"""What the guide's services have in common: the request, and the mail that it becomes."""

from typing import Any

from pydantic import BaseModel, EmailStr


class SignupBody(BaseModel):
    """Somebody who signs up."""

    email: EmailStr
    name: str


def welcome(body: SignupBody) -> dict[str, Any]:
    """Write the welcome mail."""
    return {
        "from": "hello@yourdomain.com",
        "to": [body.email],
        "subject": "Welcome to Acme",
        "html": f"<h1>Welcome, {body.name}!</h1>",
    }
