from dataclasses import replace

import pytest

from provisioner.stack.environment import Environment
from provisioner.stack.passwords import Passwords
from provisioner.stack.registrar import listeners

PASSWORDS = Passwords("superuser", "service", "registrar", "token", "nonce", "key")


@pytest.fixture
def environment() -> Environment:
    base = {"SYNC_INTERVAL": "2", "SIP_PORT": "1", "PGHOST": "elsewhere"}
    return Environment(
        base,
        PASSWORDS,
        sip_address="127.0.0.1",
        sip_port=15060,
        http_port=18080,
        database_port=15432,
        rpc_port=18090,
    )


def test_no_process_gets_a_password_that_it_does_not_need(environment: Environment) -> None:
    service = " ".join(environment.service().values())
    kamailio = " ".join(environment.kamailio().values())
    assert not any(secret in service for secret in ("superuser", "registrar", "nonce"))
    assert not any(secret in kamailio for secret in ("superuser", "service", "key"))


def test_the_users_variables_reach_all_but_do_not_change_the_stacks(
    environment: Environment,
) -> None:
    for variables in (environment.service(), environment.kamailio(), environment.migration("")):
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
    assert not any(name.startswith("KAMAILIO_MEDIA") for name in environment.kamailio())
    variables = replace(environment, media_port=12223, media_mode="always").kamailio()
    assert variables["KAMAILIO_MEDIA_SOCKET"] == "udp:127.0.0.1:12223"
    assert variables["KAMAILIO_MEDIA_PROXY"] == "always"


def test_both_are_told_of_a_replica_only_where_there_is_one(environment: Environment) -> None:
    assert "KAMAILIO_REPLICAS" not in environment.service()
    assert "KAMAILIO_REPLICA_URL" not in environment.kamailio()
    replicated = replace(environment, replica_port=15433)
    url = "127.0.0.1:15433/provisioner"
    assert (
        replicated.service()["KAMAILIO_REPLICAS"] == f"node1=postgresql://provisioner:service@{url}"
    )
    assert replicated.kamailio()["KAMAILIO_REPLICA_URL"] == f"postgres://kamailio:registrar@{url}"
