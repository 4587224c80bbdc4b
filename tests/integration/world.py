"""Two customers who have the same kinds of things, and every operation of the API on them."""

from dataclasses import dataclass
from typing import Any

from provisioner.access import Role
from provisioner.api.openapi import path_parameters
from provisioner.api.operation import Operation
from provisioner.api.resources import RESOURCES
from tests.integration.conftest import Client
from tests.integration.hooks import Portal

OPERATIONS = [operation for resource in RESOURCES for operation in resource.operations]


@dataclass
class Tenant:
    """A customer's things: the values of path parameters, and words that only he may read."""

    customer: int
    project: int
    parameters: dict[str, Any]
    words: list[str]
    tokens: dict[Role, str]
    tokens_of_project: dict[Role, str]


def new_tenant(operator: Client, name: str, digits: str) -> Tenant:
    """Create a customer with one of everything."""
    customer = operator.create("/customers", name=f"{name} customer", external_id=f"{name}-c")
    scope = {"customer_id": customer["id"]}
    project = operator.create("/projects", name=f"{name} project", external_id=f"{name}-p", **scope)
    place = {"project_id": project["id"]}
    numbers = [f"+39{digits}{i}" for i in range(3)]
    for number in numbers:
        operator.create("/numbers", number=number, external_id=f"{name}-{number}", **place)
    account = operator.create(
        "/sip-accounts",
        name=f"{name} account",
        main_number=numbers[0],
        voice_channels=2,
        external_id=f"{name}-a",
        **place,
    )
    path = f"/sip-accounts/{account['id']}"
    assert operator("PUT", f"{path}/numbers/{numbers[1]}").status_code == 200
    rule = operator.create(f"{path}/caller-id-rules", number=numbers[1])
    user = operator.create(
        "/users", email=f"{name}@example.org", name=f"{name} user", role="admin", **scope
    )
    made = {
        role: operator.create("/tokens", name=f"{name} {role}", role=role, **scope) for role in Role
    }
    limited = {
        role: operator.create("/tokens", name=f"{name} {role}", role=role, **place)["token"]
        for role in Role
    }
    started = operator.bearing(made[Role.ADMIN]["token"]).send(
        "POST",
        f"/imports?kind=accounts&credentials=none&project={project['id']}",
        {"Authorization": f"Bearer {made[Role.ADMIN]['token']}", "Content-Type": "text/csv"},
        data="name,main_number,voice_channels\n",
    )
    return Tenant(
        customer=customer["id"],
        project=project["id"],
        parameters={
            "account_id": account["id"],
            "number": numbers[2],
            "rule_id": rule["id"],
            "customer_id": customer["id"],
            "project_id": project["id"],
            "user_id": user["id"],
            "token_id": made[Role.ADMIN]["id"],
            "import_id": started.json["id"],
            "name": "cloudfire",
            "address": "203.0.113.7",
            "node_name": "node1",  # which is nobody's, and whom every change would wait for
            "trunk_id": trunk_of(operator, name, project["id"]),
            "registration_id": "uloc-1-1-1",
            "rate_id": 1,
            **hooks_of(operator, name, scope),
        },
        words=[name, *numbers, *(number[1:] for number in numbers)],
        tokens={role: token["token"] for role, token in made.items()},
        tokens_of_project=limited,
    )


def trunk_of(operator: Client, name: str, project: int) -> int:
    """Give a project a Teams trunk."""
    fqdn = f"{name}.example.com".lower()
    body = {"name": f"{name} trunk", "kind": "teams", "host": "192.0.2.1", "fqdn": fqdn}
    return int(operator.create("/trunks", project_id=project, **body)["id"])


def hooks_of(operator: Client, name: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Give a customer a hook source that has sent an event, and an endpoint with a delivery."""
    source = operator.create("/hook-sources", name=f"{name} portal", **scope)
    portal = Portal(operator, source["secret"])
    event = portal.send("account.disabled", external_id=f"{name}-a").json
    url = f"https://1.1.1.1/{name}"  # of which the name need not be resolved
    endpoint = operator.create("/webhook-endpoints", url=url, **scope)
    delivery = operator("POST", f"/webhook-endpoints/{endpoint['id']}/test").json
    return {
        "source_id": source["id"],
        "key_id": source["keys"][0]["id"],
        "event_id": event["event_id"],
        "endpoint_id": endpoint["id"],
        "delivery_id": delivery["id"],
    }


# What does not exist; every answer about it is what an outsider must get about what does.
NOTHING = {
    "account_id": 999_999_999,
    "number": "+399999999999",
    "rule_id": 999_999_999,
    "customer_id": 999_999_999,
    "project_id": 999_999_999,
    "user_id": 999_999_999,
    "token_id": 999_999_999,
    "import_id": 999_999_999,
    "name": "nothing",
    "address": "192.0.2.1",
    "node_name": "nothing",
    "trunk_id": 999_999_999,
    "registration_id": "uloc-0-0-0",
    "rate_id": 999_999_999,
    "source_id": 999_999_999,
    "key_id": 999_999_999,
    "event_id": 999_999_999,
    "endpoint_id": 999_999_999,
    "delivery_id": 999_999_999,
}


def path_of(operation: Operation, parameters: dict[str, Any]) -> str:
    """Fill an operation's path."""
    path = operation.path
    for text, name in path_parameters(operation.path):
        path = path.replace(text, str(parameters[name]))
    return path


def example_body(operation: Operation) -> Any:
    """A body that an operation takes; None where it takes none."""
    if operation.body is None:
        return None
    extra: Any = operation.body.model_config.get("json_schema_extra")
    return extra["examples"][0]
