"""What a page says when something is wrong: plainly, and with what was typed."""

import logging

from flask import Blueprint, Response, g, make_response, render_template, request
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge

from provisioner import errors
from provisioner.api import problems
from provisioner.console import entrance, messages

log = logging.getLogger(__name__)


def register(console: Blueprint) -> None:
    """Answer every error of the console with a page."""
    console.register_error_handler(CSRFError, _csrf_error)
    console.register_error_handler(errors.ProvisionerError, _domain_error)
    console.register_error_handler(HTTPException, _http_error)
    console.register_error_handler(ParseException, _unreadable_body)
    console.register_error_handler(Exception, _unexpected_error)


def page(status: int, text: str, *, again: bool = False) -> Response:
    """Show a page that says what is wrong; with `again` it can send the form once more."""
    kept = entrance.kept() if again and request.method == "POST" else None
    g.pop("visit", None)  # its transaction is over
    made = render_template("fault.html", status=status, text=text, kept=kept, action=request.path)
    return make_response(made, status)


def _csrf_error(_: CSRFError) -> Response:
    return entrance.asked()


def _domain_error(error: errors.ProvisionerError) -> Response:
    status = problems.status_of(type(error))
    if status >= 500:
        log.error("%s: %s", error.code, error.detail)
    response = page(status, messages.of_error(error), again=status == 503)
    if status == 503:
        response.headers["Retry-After"] = str(problems.RETRY_AFTER)
    return response


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, NotFound):
        text = gettext("There is no such page.")
    elif isinstance(error, RequestEntityTooLarge):
        text = gettext("What was sent is too large.")
    else:
        text = gettext("This cannot be asked for.")
    return page(error.code or 500, text)


def _unreadable_body(_: ParseException) -> Response:
    return page(400, gettext("This cannot be asked for."))


def _unexpected_error(error: Exception) -> Response:
    log.exception("unexpected error", exc_info=error)
    return page(500, gettext("Something went wrong on our side; it has been logged."))
