"""What a route can ask for, as annotated types. Most ask for `MailerDep` alone."""

from dataclasses import replace
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request
from poststack import AsyncPostStack

from app.mail.mailer import Mailer
from app.settings import Settings


# `async def`, though nothing is awaited: FastAPI runs a plain `def` in a thread of its own.
async def get_mailer(request: Request, background_tasks: BackgroundTasks) -> Mailer:
    """Return the three ways to send mail."""
    mailer: Mailer = request.app.state.mailer
    return replace(mailer, background_tasks=background_tasks)


async def get_poststack(request: Request) -> AsyncPostStack:
    """Return the process's PostStack client, for the SDK's calls that `Mailer` does not wrap."""
    poststack: AsyncPostStack = request.app.state.poststack
    return poststack


async def get_settings(request: Request) -> Settings:
    """Return the settings that the service started with."""
    settings: Settings = request.app.state.settings
    return settings


MailerDep = Annotated[Mailer, Depends(get_mailer)]
PostStackDep = Annotated[AsyncPostStack, Depends(get_poststack)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
