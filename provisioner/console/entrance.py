"""Who is let in: only pages of our own may send forms, and what a visitor typed is kept for him.

A form that arrives without a session, or while the database is away, is not lost: the answer holds
it and can send it again. Only our own pages' forms are kept so, or a stranger's page could have its
own form confirmed.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Response, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from flask_wtf import CSRFProtect
from werkzeug.datastructures import MultiDict

from provisioner.console.forms import Form
from provisioner.errors import Forbidden

csrf = CSRFProtect()

_OURS = re.compile(r"/console(/[A-Za-z0-9+_-]+|/%2B[0-9]+)*/?(\?[!-~]*)?", re.ASCII)
KEPT_FOR_NOBODY = ("csrf_token", "password", "code")  # names of fields begin so
LOGIN = "/console/login"
INVITATIONS = "/console/invitations/"  # whoever comes here has no login yet
_NEVER_AGAIN = ("/console/logout", "/console/language")  # forms that nobody misses
_OUR_MACHINE = ("localhost", "127.0.0.1", "::1")


class ForeignForm(Forbidden):
    """The form was not sent from a page of this console."""

    code = "foreign-form"


def check() -> None:
    """Let a form in only from our own pages: by what the browser says of it, and by its token.

    Raises:
        ForeignForm: it comes from elsewhere.
        flask_wtf.csrf.CSRFError: its token is not this browser's.
    """
    if request.method == "POST":
        if not _from_our_own_page():
            raise ForeignForm()
        csrf.protect()


def _from_our_own_page() -> bool:
    """Fetch Metadata where the browser sends it, else the form's origin (RFC 6454)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("Origin") or request.headers.get("Referer") or "")
    # A page that came over HTTP may have been changed on its way.
    return origin.netloc == request.host and (not request.is_secure or origin.scheme == "https")


def asked() -> Response:
    """Ask the visitor to log in; then he goes on to where he was going, with what he typed."""
    if request.method != "POST":
        following = request.full_path.rstrip("?") if not request.path.endswith("/live") else ""
        return make_response(redirect(url_for("console.login.show_login", following=following)))
    if request.path in _NEVER_AGAIN:
        return make_response(redirect(LOGIN))
    if request.path.startswith(INVITATIONS):
        return make_response(redirect(request.path))
    if request.path.startswith(LOGIN):
        form = Form({"email": request.form.get("email", "")})
        form.errors[""] = gettext(
            "This page was too old, or your browser does not keep cookies. Please try again."
        )
        return login_page(form, 401, following=request.form.get("following", ""), carried=carried())
    return login_page(Form({}), 401, following=request.path, carried=kept())


def login_page(
    form: Form,
    status: int = 200,
    *,
    following: str,
    carried: Mapping[str, str] | None = None,
    asks_code: bool = False,
) -> Response:
    """Ask who it is, or for his code; `carried` is the form that he was sending meanwhile."""
    page = render_template(
        "code.html" if asks_code else "login.html",
        form=form,
        following=following,
        kept=carried,
        insecure=_keeps_no_cookie(),
    )
    return make_response(page, status)


def _keeps_no_cookie() -> bool:
    """Say whether the browser will refuse to keep our cookie, which is for secure ways only."""
    return not request.is_secure and urlsplit(f"//{request.host}").hostname not in _OUR_MACHINE


def carried() -> MultiDict[str, str] | None:
    """Return the form that was interrupted; the login form carries its fields as `kept-NAME`."""
    if "kept" not in request.form:
        return None
    return MultiDict(
        (name.removeprefix("kept-"), value)
        for name, value in request.form.items(multi=True)
        if name.startswith("kept-")
    )


def kept() -> MultiDict[str, str]:
    """Return the fields of the request's form that may be sent again; no secrets."""
    return MultiDict(
        (name, value)
        for name, value in request.form.items(multi=True)
        if not name.startswith(KEPT_FOR_NOBODY)
    )


def is_ours(path: str) -> bool:
    """Say whether a path is one of the console's, so that nobody is led elsewhere."""
    return _OURS.fullmatch(path) is not None
