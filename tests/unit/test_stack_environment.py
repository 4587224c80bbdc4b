from dataclasses import replace

import pytest

from provisioner.stack.environment import Environment
from provisioner.stack.nodes import Node
from provisioner.stack.passwords import Passwords
from provisioner.stack.registrar import listeners

PASSWORDS = Passwords("superuser", "service", "registrar", "token", "nonce", "key")


FIRST = Node(1, 15060, 18090)


@pytest.fixture
def environment() -> Environment:
    base = {
        "SYNC_INTERVAL": "2",
        "SIP_PORT": "1",
        "PGHOST": "elsewhere",
        "KAMAILIO_RPC_ROOT_TOKEN": "anything",
    }
    return Environment(
        base,
        PASSWORDS,
        sip_address="127.0.0.1",
        http_port=18080,
        database_port=15432,
        worker_port=18091,
        nodes=[FIRST],
    )


def test_no_process_gets_a_password_that_it_does_not_need(environment: Environment) -> None:
    service = " ".join(environment.service().values())
    kamailio = " ".join(environment.kamailio(FIRST).values())
    assert not any(secret in service for secret in ("superuser", "registrar", "nonce", "anything"))
    assert not any(secret in kamailio for secret in ("superuser", "service", "key"))
    assert "anything" in kamailio


def test_the_users_variables_reach_all_but_do_not_change_the_stacks(
    environment: Environment,
) -> None:
    for variables in (
        environment.service(),
        environment.kamailio(FIRST),
        environment.migration(""),
    ):
        assert variables["SYNC_INTERVAL"] == "2"
        assert "PGHOST" not in variables
    assert environment.service()["SIP_PORT"] == "15060"


def test_kamailio_listens_by_udp_and_tcp_on_every_address() -> None:
    assert listeners(["127.0.0.1", "::1"], 5060, 8090) == [
        "-ludp:127.0.0.1:5060",
        "-ltcp:127.0.0.1:5060",
        "-ludp:[::1]:5060",
        "-ltcp:[::1]:5060",
        "-ltcp:127.0.0.1:8090",
    ]


def test_kamailio_sends_from_no_listener_for_websocket() -> None:
    """It takes the first of a transport, on the loopback the last."""
    assert listeners(["192.0.2.1"], 5060, 8090, 5061, 8443) == [
        "-ludp:192.0.2.1:5060",
        "-ltcp:192.0.2.1:5060",
        "-ltls:192.0.2.1:5061",
        "-ltls:192.0.2.1:8443",
        "-ltcp:127.0.0.1:8090",
    ]
    assert listeners(["127.0.0.1"], 5060, 8090, 5061, 8443)[0] == "-ltls:127.0.0.1:8443"


def test_websocket_has_no_tls_where_there_is_no_certificate() -> None:
    assert "-ltcp:192.0.2.1:8443" in listeners(["192.0.2.1"], 5060, 8090, ws_port=8443)


def test_kamailio_is_told_of_a_media_proxy_only_where_there_is_one(
    environment: Environment,
) -> None:
    assert not any(name.startswith("KAMAILIO_MEDIA") for name in environment.kamailio(FIRST))
    variables = replace(environment, media_port=12223, media_mode="always").kamailio(FIRST)
    assert variables["KAMAILIO_MEDIA_SOCKET"] == "udp:127.0.0.1:12223"
    assert variables["KAMAILIO_MEDIA_PROXY"] == "always"


def test_both_are_told_of_a_replica_only_where_there_is_one(environment: Environment) -> None:
    assert "KAMAILIO_REPLICAS" not in environment.service()
    assert "KAMAILIO_REPLICA_URL" not in environment.kamailio(FIRST)
    replicated = replace(environment, replica_port=15433)
    url = "127.0.0.1:15433/provisioner"
    assert (
        replicated.service()["KAMAILIO_REPLICAS"] == f"node1=postgresql://provisioner:service@{url}"
    )
    assert (
        replicated.kamailio(FIRST)["KAMAILIO_REPLICA_URL"] == f"postgres://kamailio:registrar@{url}"
    )


def test_nodes_are_told_of_each_other_and_differ_in_what_they_must() -> None:
    nodes = [Node(number, 15060, 18090, dmq=5090 + number) for number in (1, 2, 3)]
    environment = Environment({}, PASSWORDS, "127.0.0.1", 18080, 15432, 18091, nodes)
    found = [environment.kamailio(node) for node in nodes]
    assert found[1]["KAMAILIO_DMQ_ADDRESS"] == "127.0.0.1:5092"
    assert found[1]["KAMAILIO_DMQ_PEERS"] == "127.0.0.1:5091,127.0.0.1:5093"
    assert found[1]["KAMAILIO_DMQ_PEER_2"] == "127.0.0.1:5093"
    for name in ("KAMAILIO_NODE", "KAMAILIO_SERVER_ID", "KAMAILIO_NONCE_SECRET"):
        assert len({variables[name] for variables in found}) == 3
    told = environment.service()["KAMAILIO_NODES"]
    assert [one.partition("=")[0] for one in told.split(",")] == ["node1", "node2", "node3"]


def test_a_single_node_is_told_of_nobody(environment: Environment) -> None:
    assert not any("DMQ" in name for name in environment.kamailio(FIRST))


def test_kamailio_sends_from_no_listener_for_other_nodes() -> None:
    """From its first one elsewhere, from its last one on the loopback."""
    assert listeners(["127.0.0.1"], 5060, 8090, dmq_port=5090)[0] == "-ludp:127.0.0.1:5090"
    assert listeners(["192.0.2.1"], 5060, 8090, dmq_port=5090)[-2] == "-ludp:127.0.0.1:5090"
