"""What Kamailio's /metrics tells of phones, calls and strangers; and that it names nobody."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from secrets import randbelow
from urllib.error import HTTPError

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.metrics import Samples, exposition, samples, value
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.calls.conftest import MakeDevice, hang_up, talk
from tests.sip.clients import Credentials, Sipp, Wire
from tests.sip.conftest import Database
from tests.sip.test_imports import imported
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native

TOKEN = "a-token-for-prometheus-of-enough-characters"
REMEMBERED = "kamailio_script_credentials_remembered"
REFUSED = "kamailio_requests_refused_total"
STRANGER = "127.0.20.99"
Look = Callable[[], Samples]


@pytest.fixture
def look(stack: Stack) -> Look:
    """See what the node tells now."""
    return lambda: samples(exposition(stack.rpc_url.removesuffix("/rpc")))


@pytest.fixture(scope="module")
def strict(
    stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node that asks for a token, and bans soon."""
    limits = {"KAMAILIO_ADDRESS_GUESSES": "4", "KAMAILIO_REQUESTS_PER_SECOND": "20"}
    environ = {"METRICS_TOKEN": TOKEN, **limits}
    folder = tmp_path_factory.mktemp("strict")
    with another_node(stack, system, folder, environ=environ) as node:
        # where no device has registered: one that has gets through a ban
        stranger = replace(node.system.internet, client=STRANGER)
        yield replace(node, system=replace(node.system, internet=stranger))


def register(system: System, credentials: Credentials, as_user: str | None = None) -> int:
    place = system.internet
    return Sipp(place.registrar, credentials, place.client).register(as_user=as_user).status


def wrong(line: Line) -> Credentials:
    return Credentials(line.credentials.username, "notthepassword", line.credentials.realm)


def more(look: Look, before: Samples, name: str, **labels: str) -> float:
    """How much a counter has grown."""
    return value(look(), name, **labels) - value(before, name, **labels)


def test_a_registration_shows(system: System, look: Look) -> None:
    line, before = system.new_line(), look()
    eventually(lambda: value(look(), "kamailio_cache_trusted") == 1)
    assert register(system, line.credentials) == 200
    assert more(look, before, "kamailio_registrar_accepted_regs") == 1
    queried = more(look, before, "kamailio_script_credentials_queried")
    assert (queried, more(look, before, REMEMBERED)) == (1, 0)
    assert register(system, line.credentials) == 200
    assert more(look, before, REMEMBERED) == 1
    assert value(look(), "kamailio_usrloc_registered_users") > 0


def test_a_node_tells_whether_it_is_to_be_sent_anything(
    stack: Stack, look: Look, strict: Node
) -> None:
    eventually(lambda: value(look(), "kamailio_node_trusted") == 1)
    assert value(look(), "kamailio_node_draining") == 0
    # Of the other one no worker knows.
    alone = samples(exposition(strict.rpc_url.removesuffix("/rpc"), TOKEN))
    assert value(alone, "kamailio_node_trusted") == 0


def test_each_refusal_has_its_reason(system: System, look: Look) -> None:
    other = system.new_line()
    elsewhere = system.new_line(allowed_networks=["192.0.2.0/24"])
    disabled = system.new_line(enabled=False)
    before = look()

    def counted(reason: str) -> float:
        return more(look, before, REFUSED, method="REGISTER", reason=reason)

    assert register(system, wrong(other)) == 401
    assert (counted("password"), counted("disabled")) == (1, 0)
    assert register(system, disabled.credentials) == 403
    assert (counted("disabled"), counted("network")) == (1, 0)
    assert register(system, elsewhere.credentials) == 403
    assert (counted("network"), counted("identity")) == (1, 0)
    assert register(system, other.credentials, as_user=disabled.credentials.username) == 401
    assert (counted("identity"), counted("password")) == (1, 1)
    assert register(system, other.credentials) == 200
    # A challenge is the first half of each registration, and no refusal.
    assert sum(counted(reason) for reason in ("password", "disabled", "network", "identity")) == 4
    with Wire(system.internet.registrar, system.internet.client) as wire:
        assert wire.invite(elsewhere.credentials, "390000000000").status == 403
    assert more(look, before, REFUSED, method="INVITE", reason="network") == 1


def test_an_account_whose_channels_are_in_use_shows(
    system: System, stack: Stack, device: MakeDevice, look: Look
) -> None:
    caller, callee = device(system.new_line()), system.new_line(voice_channels=1)
    phone, before = device(callee), look()
    busy = caller.call(callee.number)
    incoming = phone.incoming()
    talk(busy, incoming)
    second = caller.call(callee.number)
    assert second.outcome() == (486, "Busy Here")
    assert more(look, before, "kamailio_calls_refused_total", status="486", reason="Busy Here") == 1
    assert value(look(), "kamailio_dialog_active_dialogs") > 0
    hang_up(busy, incoming)
    refused = {"reason": "channels"}
    eventually(
        lambda: value(worker(stack), "provisioner_worker_calls_refused_total", **refused) > 0
    )


def worker(stack: Stack) -> Samples:
    return samples(exposition(stack.worker_url))


def test_what_a_worker_repairs_shows(system: System, stack: Stack, database: Database) -> None:
    line, before = system.new_line(), worker(stack)
    query = "UPDATE kamailio.subscriber SET channels = 99 WHERE username = %s"
    database.execute(query, [line.credentials.username])
    of = {"target": "subscriber", "action": "update"}
    repairs = "provisioner_worker_repairs_total"
    eventually(lambda: value(worker(stack), repairs, **of) > value(before, repairs, **of))
    compared = "provisioner_worker_comparison_duration_seconds_count"
    assert value(worker(stack), compared, of="tables") > 0
    assert value(worker(stack), compared, of="node") > 0


def test_what_a_worker_imports_shows(system: System, stack: Stack) -> None:
    before = worker(stack)
    numbers = [f"+39055{randbelow(10**6):06d}" for _ in range(2)]
    job = imported(system, "numbers", ["number", *numbers, "none"], "&mode=good_rows")
    assert (job["status"], job["rows_done"], job["rows_bad"]) == ("done", 2, 1)

    def counted(name: str, outcome: str) -> float:
        name = f"provisioner_worker_{name}_total"
        return value(worker(stack), name, outcome=outcome) - value(before, name, outcome=outcome)

    eventually(lambda: counted("imports", "done") == 1)
    assert (counted("import_rows", "applied"), counted("import_rows", "bad")) == (2, 1)


def test_guesses_and_bans_show(strict: Node) -> None:
    # From where nobody is registered, or the ban would leave those alone.
    place = replace(strict.system.internet, client="127.0.20.77")

    def look() -> Samples:
        return samples(exposition(strict.rpc_url.removesuffix("/rpc"), TOKEN))

    line, before = strict.system.new_line(), look()
    for _ in range(4):
        Sipp(place.registrar, wrong(line), place.client).register()
    assert more(look, before, REFUSED, method="REGISTER", reason="password") == 4
    assert more(look, before, "kamailio_bans_total", of="address") == 1
    with Wire(place.registrar, place.client) as wire:
        wire.send(wire.register_request(line.credentials))
        eventually(lambda: more(look, before, REFUSED, method="REGISTER", reason="banned") == 1)
        for _ in range(60):
            wire.send(wire.register_request(line.credentials))
        eventually(lambda: more(look, before, REFUSED, method="REGISTER", reason="rate") > 0)


def status(url: str, token: str) -> int:
    try:
        exposition(url, token)
    except HTTPError as error:
        with error:
            return error.code
    return 200


@pytest.mark.parametrize(("shown", "expected"), [("", 401), ("0", 401), ("x", 401), (TOKEN, 200)])
def test_where_there_is_a_token_it_must_be_shown(strict: Node, shown: str, expected: int) -> None:
    assert status(strict.rpc_url.removesuffix("/rpc"), shown) == expected


def test_the_token_for_metrics_is_none_for_commands(strict: Node) -> None:
    assert status(f"{strict.rpc_url}?", TOKEN) == 404
    node = KamailioNode(strict.rpc_url, TOKEN)
    with pytest.raises(RpcFailed, match="not JSON-RPC"):
        node.uptime()
    node.close()


def test_nobody_is_named(system: System, look: Look, stack: Stack, tmp_path: Path) -> None:
    """Nor does it grow with what strangers send."""
    line = system.new_line(name="Confidential GmbH")
    assert register(system, line.credentials) == 200
    before = len(look())
    with Wire(system.internet.registrar, system.internet.client) as wire:
        for i in range(20):
            stranger = Credentials(f"39066{i:06d}", "x", f"realm{i}")
            wire.exchange(wire.register_request(stranger))
    text = exposition(stack.rpc_url.removesuffix("/rpc"))
    secrets = (line.number[1:], line.credentials.password, "Confidential", "39066", "realm")
    assert not [secret for secret in secrets if secret in text]
    assert system.internet.client not in text
    assert len(samples(text)) == before
