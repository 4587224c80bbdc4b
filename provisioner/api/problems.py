"""Errors as RFC 9457 problems: one shape, registered once."""

import logging
from collections.abc import Sequence
from typing import Any

from flask import Flask, Response, g, json
from gunicorn.http.errors import ParseException
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from provisioner import errors
from provisioner.hooks.signature import NotUtf8, SignatureInvalid
from provisioner.rates import RatesInvalid

log = logging.getLogger(__name__)

TYPE = "urn:provisioner:problem:"
RETRY_AFTER = 2  # seconds until what is not available is worth another try


class Unauthorized(errors.ProvisionerError):
    """Send a valid API token as "Authorization: Bearer TOKEN"."""

    code = "unauthorized"


class MalformedBody(errors.ProvisionerError):
    """The body is not one JSON object."""

    code = "malformed-body"


class UnsupportedMediaType(errors.ProvisionerError):
    """Send the body as application/json."""

    code = "unsupported-media-type"


class PreconditionFailed(errors.ProvisionerError):
    """It has been changed since: read it again and decide anew."""

    code = "precondition-failed"


class TooManyRequests(errors.ProvisionerError):
    """Too many requests; wait as long as Retry-After says."""

    code = "too-many-requests"


class TooManyStreams(errors.ProvisionerError):
    """Too many files are sent and received at the moment; wait as long as Retry-After says."""

    code = "too-many-streams"


class KeyReused(errors.ProvisionerError):
    """The Idempotency-Key belongs to another request."""

    code = "idempotency-key-reused"


class ParametersInvalid(errors.ProvisionerError):
    """Query parameters do not follow their rules; each is named with its rule."""

    code = "invalid-input"

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {rule}" for name, rule in faults))
        self.faults = [{"parameter": name, "detail": rule} for name, rule in faults]


# The first class that fits decides.
_STATUS: list[tuple[type[errors.ProvisionerError], int]] = [
    (Unauthorized, 401),
    (SignatureInvalid, 401),
    (MalformedBody, 400),
    (NotUtf8, 400),
    (UnsupportedMediaType, 415),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (PreconditionFailed, 412),
    (errors.InvalidInput, 422),
    (KeyReused, 422),
    (ParametersInvalid, 422),
    (TooManyRequests, 429),
    (TooManyStreams, 503),
    (errors.DatabaseUnavailable, 503),
    (errors.NodeUnavailable, 503),
]

_HTTP_CODES = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


def register(app: Flask) -> None:
    """Answer every error of an application with a problem."""
    app.register_error_handler(errors.ProvisionerError, _domain_error)
    app.register_error_handler(ValidationError, _validation_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ParseException, _unreadable_body)
    app.register_error_handler(Exception, _unexpected_error)


def problem(status: int, code: str, detail: str, **members: Any) -> Response:
    """Make a problem. `code` is the stable last part of its type."""
    body = {
        "type": TYPE + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id"),
        **members,
    }
    return Response(json.dumps(body), status, mimetype="application/problem+json")


def status_of(kind: type[errors.ProvisionerError]) -> int:
    """Return the HTTP status of a kind of domain error."""
    return next((status for known, status in _STATUS if issubclass(kind, known)), 500)


def _domain_error(error: errors.ProvisionerError) -> Response:
    status = status_of(type(error))
    members: dict[str, Any] = {}
    if error.field:
        rule = error.rule if isinstance(error, errors.InvalidInput) else error.detail
        members["errors"] = [{"pointer": f"#/{error.field}", "detail": rule}]
    if isinstance(error, ParametersInvalid):
        members["errors"] = error.faults
    if isinstance(error, RatesInvalid):
        members["errors"] = [vars(fault) for fault in error.faults]
    if isinstance(error, errors.DeletionRefused):
        members["reasons"] = error.reasons
    response = problem(status, error.code, error.detail, **members)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="provisioner"'
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    if status >= 500:
        log.error("%s: %s", error.code, error.detail)
    return response


def rule_of(message: str) -> str:
    """Return the rule that pydantic's message tells of."""
    return message.removeprefix("Value error, ")


def _validation_error(error: ValidationError) -> Response:
    faults = [
        {"pointer": _pointer(fault["loc"]), "detail": rule_of(fault["msg"])}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    detail = "; ".join(
        f"{fault['pointer'].removeprefix('#/')}: {fault['detail']}" for fault in faults
    )
    return problem(422, errors.InvalidInput.code, detail, errors=faults)


def _pointer(location: tuple[int | str, ...]) -> str:
    """RFC 6901 section 6: a JSON pointer as a URI fragment."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "#/" + "/".join(steps)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    code = _HTTP_CODES.get(status, "http-error")
    response = problem(status, code, error.description or "")
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _unreadable_body(_: ParseException) -> Response:
    """Answer a body whose chunks the server cannot take apart."""
    return _domain_error(MalformedBody())


def _unexpected_error(error: Exception) -> Response:
    log.exception("unexpected error", exc_info=error)
    return problem(500, "internal-error", "Something went wrong on our side; it has been logged.")
