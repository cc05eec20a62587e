"""What a route can ask for: the resources that the lifespan opened, as annotated types."""

from typing import Annotated

from fastapi import Depends, Request
from poststack import AsyncPostStack

from app.background import Background
from app.dispatch import Dispatch
from app.events import Events
from app.limits import SignupLimits
from app.settings import Settings
from app.users import Users


# `async def`, though nothing is awaited: FastAPI runs a plain `def` in a thread of its own.
async def get_settings(request: Request) -> Settings:
    """Return the settings that the service started with."""
    settings: Settings = request.app.state.settings
    return settings


async def get_poststack(request: Request) -> AsyncPostStack:
    """Return the process's client of PostStack."""
    poststack: AsyncPostStack = request.app.state.poststack
    return poststack


async def get_users(request: Request) -> Users:
    """Return the store of users."""
    users: Users = request.app.state.users
    return users


async def get_events(request: Request) -> Events:
    """Return the store of events."""
    events: Events = request.app.state.events
    return events


async def get_background(request: Request) -> Background:
    """Return the way to `send` after the response."""
    background: Background = request.app.state.background
    return background


async def get_signup_limits(request: Request) -> SignupLimits:
    """Return the counts of recent signups."""
    limits: SignupLimits = request.app.state.signup_limits
    return limits


async def get_dispatch(request: Request) -> Dispatch:
    """Return the way to `send` for mail that must not be lost."""
    dispatch: Dispatch = request.app.state.dispatch
    return dispatch


SettingsDep = Annotated[Settings, Depends(get_settings)]
PostStackDep = Annotated[AsyncPostStack, Depends(get_poststack)]
EventsDep = Annotated[Events, Depends(get_events)]
UsersDep = Annotated[Users, Depends(get_users)]
BackgroundDep = Annotated[Background, Depends(get_background)]
SignupLimitsDep = Annotated[SignupLimits, Depends(get_signup_limits)]
DispatchDep = Annotated[Dispatch, Depends(get_dispatch)]
