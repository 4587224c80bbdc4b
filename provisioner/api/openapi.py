"""The API's description, OpenAPI 3.1, made of the operations that it serves."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from provisioner.api.idempotency import KEY_LENGTH
from provisioner.api.operation import Operation
from provisioner.api.problems import status_of
from provisioner.api.waiting import WAIT_MAX

Refs = Mapping[Any, dict[str, Any]]

PREFIX = "/api/v1"
_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"<(?:(?P<kind>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")

_DESCRIPTION = """\
SIP accounts, their numbers and networks, and whether Kamailio obeys. Errors are RFC 9457 problems.
Every POST takes an `Idempotency-Key`; every change `Prefer: wait=N`; what has an `ETag` takes
`If-Match`. Tokens: `Authorization: Bearer …`."""

_EXAMPLES: dict[str, Any] = {
    "number": "+390612345679",
    "name": "cloudfire",
    "address": "203.0.113.7",
    "node_name": "node1",
    "registration_id": "uloc-1-6b04dc2d-3d90-2",
}

_CSV = "number,state\n+390612345678,active\n"

# Why any request can be refused.
_ALWAYS = {
    "401": "the token is missing or wrong",
    "403": "the token's role does not allow it",
    "414": "the path and the query are too long",
    "422": "fields or parameters do not follow their rules",
    "429": "too many requests",
    "503": "the database cannot be reached, or too many files are sent at the moment",
}

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "stable; urn:provisioner:problem:CODE"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body"},
                    "parameter": {"type": "string", "description": "of the query"},
                    "line": {"type": "integer", "description": "of a file, from 1"},
                    "field": {"type": ["string", "null"], "description": "null: the whole line"},
                    "detail": {"type": "string"},
                },
            },
        },
        "reasons": {
            "type": "array",
            "description": "all that is in the way of a deletion",
            "items": {
                "type": "object",
                "required": ["code", "detail", "items"],
                "properties": {
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "items": {"type": "array"},
                },
            },
        },
    },
}


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Describe operations as an OpenAPI 3.1 document."""
    schemas, definitions = models_json_schema(_models(operations), ref_template=_REF)
    refs = {model: schema for (model, _), schema in schemas.items()}
    paths: dict[str, Any] = {}
    for operation in operations:
        path = PREFIX + _PARAMETER.sub(r"{\g<name>}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "provisioner", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM},
        },
    }


def _models(operations: Iterable[Operation]) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    """List what requests and answers are made of, each once, with the way it is used."""
    bodies = dict.fromkeys(one.body for one in operations if one.body is not None)
    answers = dict.fromkeys(one.answer for one in operations if is_model(one.answer))
    return [
        *((model, "validation") for model in bodies),
        *((model, "serialization") for model in answers),
    ]


def is_model(answer: object) -> bool:
    """Say whether an operation's answer is a JSON object that a model describes."""
    return isinstance(answer, type) and issubclass(answer, BaseModel)


def _operation(operation: Operation, refs: Refs) -> dict[str, Any]:
    summary, _, more = operation.description.partition("\n")
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": summary.removesuffix("."),
        "description": f"{more.strip()}\n\nPermission: `{operation.permission}`".strip(),
        "parameters": [*_path(operation), *_query(operation), *_headers(operation)],
        "responses": _responses(operation, refs),
    }
    if operation.streams_in:
        found["requestBody"] = {
            "required": True,
            "content": _files(operation.takes, operation.sample),
        }
    if operation.body is not None:
        found["requestBody"] = _body(operation, refs)
    return found


def _body(operation: Operation, refs: Refs) -> dict[str, Any]:
    assert operation.body is not None  # noqa: S101 - asked for where there is one
    types = ["application/json"]
    if operation.method == "PATCH":
        types.append("application/merge-patch+json")
    required = bool(operation.body.model_fields)
    content = dict.fromkeys(types, _content(operation.body, refs))
    return {"required": required, "content": content}


def _content(model: type[BaseModel], refs: Refs) -> dict[str, Any]:
    return {"schema": refs[model], "example": _example(model)}


def _example(model: type[BaseModel]) -> Any:
    """Return a model's example; a page's is one of its items."""
    extra = model.model_config.get("json_schema_extra")
    if isinstance(extra, dict) and isinstance(examples := extra.get("examples"), list):
        return examples[0]
    # A page's items are a list of one kind, which pydantic's types do not say.
    (item,) = model.model_fields["items"].annotation.__args__  # type: ignore[union-attr] # a page has items
    more: dict[str, Any] = {}
    if "unavailable_nodes" in model.model_fields:
        more["unavailable_nodes"] = []
    return {"items": [_example(item)], "next": None, **more}


def _path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": match["name"],
            "in": "path",
            "required": True,
            "schema": (
                {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
                if match["kind"] == "id"
                else {"type": "string", "minLength": 1}
            ),
            "example": _EXAMPLES.get(match["name"], 1),
        }
        for match in _PARAMETER.finditer(operation.path)
    ]


def path_parameters(path: str) -> list[tuple[str, str]]:
    """List a route's parameters: how each is written in the path, and its name."""
    return [(match[0], match["name"]) for match in _PARAMETER.finditer(path)]


def _query(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.query.model_json_schema()
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "schema": _inlined(one, definitions),
        }
        for name, one in schema.get("properties", {}).items()
    ]


def _inlined(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Resolve references, and leave out null: a parameter is given or it is not."""
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    (option,) = options
    if "$ref" in option:
        option = definitions[option["$ref"].rpartition("/")[2]]
    return {k: v for k, v in option.items() if k not in ("title", "default", "description")}


def _headers(operation: Operation) -> list[dict[str, Any]]:
    headers = []
    if operation.method == "POST":
        headers.append(_header("Idempotency-Key", {"maxLength": KEY_LENGTH, "minLength": 1}))
    if operation.guard is not None:
        headers.append(_header("If-Match", {}))
    if operation.method != "GET":
        headers.append(_header("Prefer", {"description": f"wait=N, at the most {WAIT_MAX} s"}))
    return headers


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string", **schema}}


def _responses(operation: Operation, refs: Refs) -> dict[str, Any]:
    found: dict[str, Any] = {str(operation.status): _success(operation, refs)}
    if operation.method != "GET":
        found["202"] = {
            **_success(operation, refs),
            "description": "done; some node has yet to confirm",
        }
    refusals = dict(_ALWAYS)
    if _PARAMETER.search(operation.path):
        refusals["404"] = "there is no such object that the token sees"
    if operation.method != "GET":
        refusals |= {"400": "the body is not one JSON object", "413": "the body is too large"}
        refusals["415"] = "the body is not JSON"
    if operation.guard is not None:
        refusals["412"] = "it has been changed since"
    for error in operation.errors:
        status = str(status_of(error))
        refusals[status] = "; ".join(
            filter(None, [refusals.get(status, ""), (error.__doc__ or "").strip()])
        )
    found |= {status: _problem(text) for status, text in sorted(refusals.items())}
    found["414"].pop("content")  # answered before the API is asked
    return found


def _success(operation: Operation, refs: Refs) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": "done"}
    files = _files(operation.gives, operation.sample)
    if not is_model(operation.answer):
        return {"description": "a stream", "content": files}
    content = _content(operation.answer, refs)
    return {"description": "done", "content": {"application/json": content, **files}}


def _files(types: Sequence[str], sample: str) -> dict[str, Any]:
    """Describe files that are read or written as streams: any bytes, with an example of a CSV."""
    text: dict[str, Any] = {"schema": {}, "example": sample or _CSV}
    return {one: text if one == "text/csv" else {} for one in types}


def _problem(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}
