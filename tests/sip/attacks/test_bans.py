"""A ban shows wherever people look, and they can lift it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.kamailio import BANS, KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.attacks.guessing import guess, new_address
from tests.sip.attacks.nodes import another_node
from tests.sip.clients import Wire
from tests.sip.conftest import Database
from tests.system import Line, System

pytestmark = pytest.mark.native  # looks into the node's memory

GUESSES = 10  # after which an address is banned for one account
# Run in a network of its own: which of these addresses reach the SIP port?
KNOCK = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.settimeout(0.5)
for source in sys.argv[2:]:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((source, 0))
    client.sendto(source.encode(), server.getsockname())
try:
    while True:
        print(server.recv(100).decode())
except TimeoutError:
    pass
"""


def banned_at(system: System, line: Line) -> str:
    """An address that has guessed at the account's password until it was refused."""
    registrar, source = system.internet.registrar, new_address()
    guesses = guess(registrar, source, system.realm, [line.credentials.username] * (GUESSES + 1))
    assert (guesses.number, guesses.refused) == (GUESSES, 1)
    return source


def ban(kamailio: KamailioNode, source: str, seconds: int = 300) -> str:
    """Have an address banned as a whole."""
    now = int(time.time())
    kamailio.call("htable.sets", BANS, source, f"{now} {now + seconds} 25")
    return source


def bans(system: System, source: str) -> list[Any]:
    found = system.api.get("/bans").expect(200)["items"]
    return [one for one in found if one["address"] == source]


def status_from(system: System, line: Line, source: str) -> int:
    with Wire(system.internet.registrar, source) as device:
        return device.register(line.credentials).status


def test_a_ban_is_listed(system: System) -> None:
    line = system.new_line()
    (one,) = bans(system, banned_at(system, line))
    assert (one["username"], one["guesses"]) == (line.credentials.username, GUESSES)
    assert one["node"] == "node1"
    lasts = datetime.fromisoformat(one["until"]) - datetime.fromisoformat(one["since"])
    assert lasts.total_seconds() == 61  # a minute from when the second `since` has ended


def test_the_diagnosis_names_it(system: System) -> None:
    line, other = system.new_line(), system.new_line()
    source = banned_at(system, line)
    answer = line.api.get(f"{line.path}/diagnosis").expect(200)
    assert (answer["verdict"], answer["can_register"]) == ("banned", False)
    assert answer["detail"].startswith(f"{source} is refused until ")
    answer = line.api.get(f"{other.path}/diagnosis").expect(200)
    assert answer["verdict"] == "never_tried"


def test_the_diagnosis_names_the_ban_of_the_devices_address(
    system: System, kamailio: KamailioNode
) -> None:
    line, other = system.new_line(allowed_networks=["192.0.2.0/24"]), system.new_line()
    source = new_address()
    assert status_from(system, line, source) == 403
    ban(kamailio, source)
    codes = [one["code"] for one in line.api.get(f"{line.path}/diagnosis").expect(200)["findings"]]
    assert "banned" in codes
    assert other.api.get(f"{other.path}/diagnosis").expect(200)["verdict"] == "never_tried"


def test_a_ban_is_lifted(system: System) -> None:
    line = system.new_line()
    source = banned_at(system, line)
    assert status_from(system, line, source) == 503
    (one,) = system.api.delete(f"/bans/{source}").expect(200)["items"]
    assert (one["address"], one["username"]) == (source, line.credentials.username)
    assert bans(system, source) == []
    assert status_from(system, line, source) == 200
    system.api.delete(f"/bans/{source}").expect(404)
    (entry,) = system.api.get("/audit-events?type=ban.lifted&limit=1").expect(200)["items"]
    assert (entry["subject_id"], entry["before"]["nodes"]) == (source, ["node1"])


def test_a_network_of_ipv6_is_lifted_by_any_of_its_addresses(
    system: System, kamailio: KamailioNode
) -> None:
    ban(kamailio, "2001:db8:0:40::/64")
    assert len(bans(system, "2001:db8:0:40::/64")) == 1
    system.api.delete("/bans/2001:db8:0:41::1").expect(404)
    system.api.delete("/bans/2001:db8:0:40::1").expect(200)
    assert bans(system, "2001:db8:0:40::/64") == []
    ban(kamailio, "2001:db8:0:40::/64")
    system.api.delete("/bans/2001:db8:0:40::/64").expect(200)


@pytest.mark.parametrize("address", ["nobody", "203.0.113.0/24", "203.0.113.7%20x", "192.0.2.77"])
def test_what_is_not_banned_is_not_found(system: System, address: str) -> None:
    system.api.delete(f"/bans/{address}").expect(404)


@contextmanager
def known(database: Database, name: str, rpc_url: str) -> Iterator[None]:
    """Have the service ask another node, too."""
    database.execute(
        "INSERT INTO provisioner.nodes (name, rpc_url) VALUES (%s, %s)", [name, rpc_url]
    )
    try:
        yield
    finally:
        database.execute("DELETE FROM provisioner.nodes WHERE name = %s", [name])


def test_all_nodes_are_asked_and_obey(
    system: System, stack: Stack, database: Database, kamailio: KamailioNode, tmp_path: Path
) -> None:
    source, elsewhere = new_address(), new_address()
    with another_node(stack, system, tmp_path) as node, known(database, "second", node.rpc_url):
        ban(kamailio, source)
        ban(node.kamailio, source)
        ban(node.kamailio, elsewhere)
        assert {one["node"] for one in bans(system, source)} == {"node1", "second"}
        system.api.delete(f"/bans/{source}").expect(200)
        assert source not in [one.source for one in (*kamailio.bans(), *node.kamailio.bans())]
        assert [one.source for one in node.kamailio.bans()] == [elsewhere]
    with known(database, "second", node.rpc_url):
        assert system.api.get("/bans").expect(200)["unavailable_nodes"] == ["second"]
        system.api.delete(f"/bans/{elsewhere}").expect(503)
        ban(kamailio, source)
        lifted = system.api.delete(f"/bans/{source}").expect(200)
        assert (len(lifted["items"]), lifted["unavailable_nodes"]) == (1, ["second"])


# The command line, and a packet filter that is made of it.


def command(stack: Stack, *arguments: str) -> str:
    program = [sys.executable, "-m", "provisioner", *arguments]
    done = subprocess.run(program, env=stack.environ, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_command_line_lists_and_lifts(
    system: System, stack: Stack, kamailio: KamailioNode
) -> None:
    source = ban(kamailio, new_address())
    assert source in command(stack, "bans")
    assert source in [
        one["address"] for one in json.loads(command(stack, "bans", "--json"))["items"]
    ]
    assert source in command(stack, "bans", "lift", source)
    assert source not in command(stack, "bans")


def through(table: str, port: int, *sources: str) -> set[str]:
    """Load a table in a network of its own; return the addresses that reach the port there."""
    script = 'ip link set lo up && nft -f - && exec "$@"'
    program = [sys.executable, "-c", KNOCK, str(port), *sources]
    inside = ["unshare", "--net", "bash", "-euc", script, "bash", *program]
    done = subprocess.run(inside, input=table, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_packet_filter_drops_strangers_only(
    system: System, stack: Stack, kamailio: KamailioNode
) -> None:
    """Where a device is registered, Kamailio still tells it from others."""
    stranger, home, free = ban(kamailio, new_address()), new_address(), new_address()
    assert status_from(system, system.new_line(), home) == 200
    ban(kamailio, home)
    table = command(stack, "bans", "--nft")
    port = system.internet.registrar.port
    assert through(table, port, stranger, home, free) == {home, free}
    assert through("", port, stranger, home, free) == {stranger, home, free}
    assert through(table, port + 1, stranger) == {stranger}  # what is not SIP goes on


def test_an_address_leaves_the_packet_filter_when_its_ban_ends(
    stack: Stack, kamailio: KamailioNode
) -> None:
    source = ban(kamailio, new_address(), seconds=100)
    (element,) = [
        element
        for element in command(stack, "bans", "--nft").replace("{", ",").split(",")
        if source in element
    ]
    seconds = int(element.split("timeout ")[1].split("s")[0])
    assert 60 < seconds <= 100
