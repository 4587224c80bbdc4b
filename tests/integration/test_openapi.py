"""The API describes itself exactly: OpenAPI 3.1, with an example on every operation."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs
import pytest

from provisioner.api.openapi import document
from provisioner.api.operation import Operation
from tests.integration.conftest import Client
from tests.integration.world import OPERATIONS

DOCUMENT = document(OPERATIONS, "test")
METHODS = [
    pytest.param(path, method, described, id=f"{method.upper()} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]


def is_valid(example: Any, schema: dict[str, Any]) -> bool:
    whole = schema | {"components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole).is_valid(example)


def test_the_api_serves_its_description(client: Client) -> None:
    answer = client.http.get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.json
    assert answer.json["openapi"] == "3.1.0"
    assert answer.json["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))


def test_every_operation_is_described() -> None:
    assert len(METHODS) == len(OPERATIONS)
    names = [
        described["operationId"]
        for methods in DOCUMENT["paths"].values()
        for described in methods.values()
    ]
    assert len(set(names)) == len(OPERATIONS)


@pytest.mark.parametrize(("path", "method", "described"), METHODS)
def test_an_operation_has_words_and_examples(path: str, method: str, described: Any) -> None:
    assert described["summary"]
    assert "Permission: `" in described["description"]
    contents = [described.get("requestBody", {}).get("content", {})]
    contents += [
        answer.get("content", {})
        for code, answer in described["responses"].items()
        if code.startswith("2")
    ]
    for content in contents:
        for kind, one in content.items():
            if kind.endswith("json") and "ndjson" not in kind:  # a JSON object
                assert is_valid(one["example"], one["schema"]), one["example"]
    for parameter in described["parameters"]:
        if parameter["in"] == "path":
            assert is_valid(parameter["example"], parameter["schema"])
    placeholders = set(re.findall(r"{(\w+)}", path))
    assert placeholders == {p["name"] for p in described["parameters"] if p["in"] == "path"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_each_refusal_has_its_status(operation: Operation) -> None:
    path = "/api/v1" + re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", r"{\1}", operation.path)
    described = DOCUMENT["paths"][path][operation.method.lower()]
    assert {"401", "403", "429", "503"} <= set(described["responses"])
    if operation.guard is not None:
        assert "412" in described["responses"]


def test_people_read_it_without_the_internet(client: Client) -> None:
    page = client.http.get("/api/docs/")
    assert page.status_code == 200
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)
    files = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.text)
    assert files
    for name in files:
        with client.http.get(urljoin("/api/docs/", name)) as file:
            assert file.status_code == 200
