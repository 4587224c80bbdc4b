"""The console as a whole, and how an application gets it."""

import hashlib
import hmac
from functools import cache
from importlib.resources import files
from typing import Any

from flask import Blueprint, Flask, Request, Response, g, send_from_directory, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.exceptions import NotFound

from provisioner.api.serving import public
from provisioner.console import (
    account,
    account_caller_id,
    account_calls,
    account_diagnosis,
    account_history,
    account_numbers,
    account_registrations,
    account_transfer,
    accounts,
    calls,
    credentials_page,
    entrance,
    faults,
    guesses,
    hook_sources,
    invitations,
    language,
    linphone,
    login,
    networks,
    new_account,
    nodes,
    numbers,
    people,
    profile,
    shown,
    tokens,
    webhooks,
)
from provisioner.settings import Settings

PREFIX = "/console"
SECTIONS = (
    *(login.pages, accounts.pages, account.pages),
    *(account_numbers.pages, account_caller_id.pages, account_transfer.pages),
    *(account_calls.pages, account_registrations.pages),
    *(account_diagnosis.pages, account_history.pages),
    *(new_account.pages, credentials_page.pages, linphone.pages),
    *(numbers.pages, networks.pages, nodes.pages),
    calls.pages,
    *(people.pages, tokens.pages, profile.pages, invitations.pages),
    *(webhooks.pages, hook_sources.pages),
)
CACHED = "public, max-age=31536000, immutable"  # a changed file has another address

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def register(app: Flask, settings: Settings) -> None:
    """Add the console to an application."""
    keys = [_session_key(key) for key in settings.secrets_keys]
    app.config |= {
        "SECRET_KEY": keys[0],
        "SECRET_KEY_FALLBACKS": keys[1:],
        "SESSION_COOKIE_NAME": "__Host-session",
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "WTF_CSRF_CHECK_DEFAULT": False,
        "WTF_CSRF_TIME_LIMIT": None,
        "WTF_CSRF_SSL_STRICT": False,  # entrance.check looks at where a form comes from itself
    }
    app.session_interface = _Sessions()
    entrance.csrf.init_app(app)
    language.register(app)
    guesses.register(app)
    shown.register(app, asset)
    console = Blueprint(
        "console", __name__, url_prefix=PREFIX, template_folder="templates", static_folder=None
    )
    console.before_request(entrance.check)
    console.after_request(_secured)
    faults.register(console)
    console.add_url_rule("/static/<version>/<path:name>", view_func=_static, endpoint="static_file")
    for pages in SECTIONS:
        console.register_blueprint(pages.blueprint)
    console.add_url_rule(
        "/<path:rest>", view_func=_nothing, endpoint="nothing", methods=["GET", "POST"]
    )
    app.register_blueprint(console)


class _Sessions(SecureCookieSessionInterface):
    """Sessions for the console alone: to open one takes a while, and nothing else has any."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Open a page's session."""
        return super().open_session(app, request) if request.path.startswith(PREFIX) else None


def _session_key(key: str) -> str:
    """Make the key that signs cookies, which seals nothing, of one that seals."""
    return hmac.new(key.encode(), b"console session", hashlib.sha256).hexdigest()


@cache
def _version(name: str) -> str:
    content = (files("provisioner.console") / "static" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the address of a file of ours, which changes with its content."""
    return url_for("console.static_file", version=_version(name), name=name)


@public
def _static(version: str, name: str) -> Response:
    response = send_from_directory(str(files("provisioner.console") / "static"), name)
    if version == _version(name):  # else it is of another release, which runs beside this one
        g.cached = CACHED
    return response


@public
def _nothing(rest: str) -> Any:  # noqa: ARG001 - the route names it
    raise NotFound()


def _secured(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
