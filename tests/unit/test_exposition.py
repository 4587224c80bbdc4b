"""The worker's listener: two paths, and who may read the second."""

import logging
import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter

from provisioner.exposition import Listener
from provisioner.stack.ports import free_port, tcp

HOST = "127.0.0.1"
TOKEN = "a-token-for-prometheus-of-enough-characters"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("something", "Something.", registry=registry).inc()
    return registry


@pytest.fixture
def port() -> int:
    return free_port(tcp(HOST))


@pytest.fixture(params=["", TOKEN])
def token(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def listener(registry: CollectorRegistry, port: int, token: str) -> Iterator[Listener]:
    listener = Listener(HOST, port, registry, token)
    yield listener
    listener.close()


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(HOST, port, timeout=5)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_that_it_lives_is_no_secret(listener: Listener, port: int) -> None:
    assert get(port, "/livez", Via="1.1 proxy") == (200, '{"status":"ok"}\n')
    assert get(port, "/anything") == (404, "")


def test_who_may_read_the_metrics(listener: Listener, port: int, token: str) -> None:
    assert get(port, "/metrics", Authorization="Bearer wrong")[0] == (401 if token else 200)
    assert get(port, "/metrics", X_Forwarded_For="192.0.2.1")[0] == 401
    status, text = get(port, "/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert "something_total 1.0" in text


@pytest.mark.parametrize("token", [TOKEN])
def test_who_sends_nothing_keeps_nobody_waiting(listener: Listener, port: int) -> None:
    with socket.create_connection((HOST, port)):
        assert get(port, "/livez")[0] == 200


def test_a_port_that_is_taken_stops_no_worker(
    registry: CollectorRegistry, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server((HOST, port)), caplog.at_level(logging.ERROR):
        Listener(HOST, port, registry, "").close()
    assert "Address already in use" in caplog.text
