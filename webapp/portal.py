"""The parts of a running portal, and the one place where views find them."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app
from werkzeug.local import LocalProxy

from .config import Settings
from .exec_api import ExecClient
from .health import Health
from .metrics import Metrics
from .oidc import Provider
from .starters import Starter
from .store import Store
from .store.pace import Pacer
from .transport import Transport


@dataclass(frozen=True)
class Portal:
    """What one application is made of; built once, in `create_app`."""

    settings: Settings
    store: Store
    pacer: Pacer
    exec: ExecClient
    provider: Provider
    transport: Transport  # the way out to the provider
    health: Health
    metrics: Metrics
    starters: dict[str, Starter]


def portal_of(app: Flask) -> Portal:
    return cast("Portal", app.extensions["portal"])


# The portal that answers this request, as `flask.current_app` is its application.
current_portal = cast("Portal", LocalProxy(lambda: portal_of(current_app)))
