"""The Flask application: wiring only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry
from werkzeug.middleware.proxy_fix import ProxyFix

from provisioner.api import metrics
from provisioner.api.context import Services
from provisioner.api.resources import register
from provisioner.console import console
from provisioner.db import POOL_SIZE, Database
from provisioner.meters import PoolMeter
from provisioner.sealing import Sealer
from provisioner.settings import Settings

BODY_MAX = 1024 * 1024  # bytes of a request
# Of answers that are no pages: should a browser show one, it does nothing.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _Application(Flask):
    """Flask without what takes a while in each request and is of no use here."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take a function for what it is: none of them is asynchronous."""
        return func


def create_app(settings: Settings, measured: Path | None = None) -> Flask:
    """Make the application for one process. `measured` is the directory that all processes of the
    API write to what they count; None: this is the only one.
    """
    registry = CollectorRegistry()
    app = _Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    app.extensions["provisioner"] = Services(
        settings,
        Database(settings.database_url, meter=PoolMeter(registry, POOL_SIZE)),
        Sealer(settings.secrets_keys),
    )
    metrics.register(app, registry, measured)
    app.after_request(_secured)
    register(app, settings)
    console.register(app, settings)
    if count := settings.trusted_proxies:
        proxied = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)
        app.wsgi_app = proxied  # type: ignore[method-assign] # Flask wants it wrapped in place
    return app


def _secured(response: Response) -> Response:
    """Keep secrets and states out of every cache on the way, where a view's `g.cached` allows none,
    and tell browsers what they may do with an answer, where a page has not said so itself.
    """
    headers = response.headers
    headers["Cache-Control"] = g.get("cached", "no-store")
    said = set(headers.keys(lower=True))
    for name, value in HEADERS.items():
        if name.lower() not in said:
            headers.add(name, value)
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response
