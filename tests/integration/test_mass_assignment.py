"""A field that is shown, or stored, is not one that may be sent."""

from typing import Any

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.api.bodies import NewAccountBody
from provisioner.api.operation import Operation
from tests.integration.conftest import NUMBER, Client
from tests.integration.world import OPERATIONS, Tenant, example_body, new_tenant, path_of

WITH_BODY = [one for one in OPERATIONS if one.body is not None]
COLUMNS = """
SELECT DISTINCT column_name AS name FROM information_schema.columns
WHERE table_schema IN ('provisioner', 'kamailio') ORDER BY 1
"""
BESIDES = ["is_admin", "admin", "permissions", "credentials", "convergence", "__class__", "self"]


@pytest.fixture
def names(admin: db.Connection) -> list[str]:
    """Every column that there is, and what others have called such fields."""
    return [row["name"] for row in admin.execute(COLUMNS).fetchall()] + BESIDES


def foreign(operation: Operation, names: list[str]) -> dict[str, Any]:
    """All fields that an operation does not know, as somebody may guess them."""
    assert operation.body
    return dict.fromkeys((name for name in names if name not in operation.body.model_fields), 1)


def test_every_field_that_is_not_asked_for_is_refused_by_name(
    client: Client, names: list[str]
) -> None:
    assert len(names) > 150
    tenant = new_tenant(client, "Alpha", "06111111")
    for token in (client.token, tenant.tokens[Role.ADMIN]):
        for operation in WITH_BODY:
            assert refused(client.bearing(token), operation, tenant, names), operation.path


def refused(member: Client, operation: Operation, tenant: Tenant, names: list[str]) -> bool:
    """Whether each is refused, if the member may do it at all."""
    extra = foreign(operation, names)
    body = example_body(operation) | extra
    answer = member(operation.method, path_of(operation, tenant.parameters), body)
    if answer.status_code == 403:
        return True
    told = {fault["pointer"].removeprefix("#/") for fault in answer.json["errors"]}
    return answer.status_code == 422 and told >= extra.keys()


def test_a_body_that_takes_whatever_comes_would_be_found(
    client: Client, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = new_tenant(client, "Alpha", "06111111")
    operation = next(one for one in WITH_BODY if one.body is NewAccountBody)
    client.new_number(NUMBER)
    with monkeypatch.context() as patch:
        patch.setitem(NewAccountBody.model_config, "extra", "ignore")
        NewAccountBody.model_rebuild(force=True)
        answer = client(
            "POST", "/sip-accounts", example_body(operation) | foreign(operation, names)
        )
        assert answer.status_code == 201
    NewAccountBody.model_rebuild(force=True)
    assert refused(client, operation, tenant, names)
