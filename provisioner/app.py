"""The Flask application: wiring only."""

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from provisioner.api.context import Services
from provisioner.api.resources import register
from provisioner.db import Database
from provisioner.sealing import Sealer
from provisioner.settings import Settings

BODY_MAX = 1024 * 1024  # bytes of a request


def create_app(settings: Settings) -> Flask:
    """Make the application for one process."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    app.extensions["provisioner"] = Services(
        settings, Database(settings.database_url), Sealer(settings.secrets_keys)
    )
    app.after_request(_uncached)
    register(app, settings)
    proxied = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)
    app.wsgi_app = proxied  # type: ignore[method-assign] # as Flask's documentation does it
    return app


def _uncached(response: Response) -> Response:
    """Keep secrets and states out of every cache on the way."""
    response.headers["Cache-Control"] = "no-store"
    return response
