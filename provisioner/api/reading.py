"""Reads what a request contains: a JSON object and query parameters, by their models."""

from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from provisioner import strict_json
from provisioner.api.bodies import NoFields
from provisioner.api.problems import MalformedBody, ParametersInvalid, UnsupportedMediaType, rule_of

Schema = TypeVar("Schema", bound=BaseModel)

_JSON = ("application/json", "application/merge-patch+json")


def refuse_encoded() -> None:
    """Refuse a body that would have to be decompressed, to who knows what size.

    Raises:
        UnsupportedMediaType: it is encoded.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")


def body(schema: type[Schema]) -> Schema:
    """Read the request's JSON object as `schema`; an action's may be left out.

    Raises:
        UnsupportedMediaType, MalformedBody: it is not a JSON object.
        pydantic.ValidationError: a field does not follow its rule.
    """
    if schema is NoFields and not request.get_data():
        return schema()
    if request.mimetype not in _JSON:
        raise UnsupportedMediaType()
    return schema.model_validate(json_object(request.get_data()))


def no_body() -> None:
    """Refuse more than an empty JSON object where a request has no body.

    Raises:
        UnsupportedMediaType, MalformedBody, pydantic.ValidationError: as `body` does.
    """
    body(NoFields)


def query(schema: type[Schema]) -> Schema:
    """Read the query parameters as `schema`.

    Raises:
        ParametersInvalid: one of them is unknown, given twice, or does not follow its rule.
    """
    if not request.query_string:
        return _parameters(schema, {})
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise ParametersInvalid([(name, "must be given once") for name in twice])
    return _parameters(schema, request.args.to_dict())


def _parameters(schema: type[Schema], given: dict[str, str]) -> Schema:
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        raise ParametersInvalid(
            [(str(fault["loc"][0]), rule_of(fault["msg"])) for fault in error.errors()]
        ) from None


def json_object(data: bytes | str) -> dict[str, Any]:
    """Parse one JSON object, strictly: UTF-8, no key twice, no NaN.

    Raises:
        MalformedBody: it is something else.
    """
    try:
        value = strict_json.parse(data)
    except ValueError as error:
        raise MalformedBody(f"The body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise MalformedBody()
    return value
