"""Accounts that are linked to Teams: their calls go to the project's trunk, as Teams asks for."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Thread

import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.clients import (
    Authority,
    Baresip,
    Message,
    Registrar,
    TlsPeer,
    Wire,
    uri_in,
    within_dialog,
)
from tests.sip.clients.tls_peer import SDP
from tests.sip.conftest import Database
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native  # certificates of our own, and addresses that no DNS knows

TEAMS_CLIENT = "127.0.40.1"


class Trunks:
    """The Teams trunks of a project of its own, under one FQDN."""

    def __init__(self, stack: Stack, system: System) -> None:
        self.fqdn = f"{token_hex(4)}.sbc.test"
        self.host = f"{token_hex(4)}.teams.test"
        self._api = system.api
        self._ids: list[int] = []
        self._kamailio = KamailioNode(stack.rpc_url, stack.rpc_root_token)
        self._port = stack.tls_port
        self._kamailio.call("dns.add_a", self.host, 3600, "127.0.0.1", 0)
        api = system.api
        customer = api.post("/customers", {"name": self.fqdn}).expect(201)
        project = {"name": self.fqdn, "customer_id": customer["id"]}
        self.project_id = api.post("/projects", project).expect(201)["id"]

    @property
    def here(self) -> str:
        """This server as Teams knows it."""
        return f"sip:{self.fqdn}:{self._port};transport=tls"

    def add(self, peer: TlsPeer, *, priority: int = 0) -> None:
        """Let the project's calls go to a peer."""
        trunk = {
            "name": token_hex(8),
            "kind": "teams",
            "project_id": self.project_id,
            "fqdn": self.fqdn,
            "host": self.host,
            "port": peer.port,
            "priority": priority,
        }
        made = self._api.post("/trunks", trunk, wait=10).expect(201)
        self._ids.append(made["id"])

    def states(self) -> list[str]:
        """Kamailio's flags of each trunk: AP, active and asked; IP, away and asked."""
        found = self._kamailio.call("dispatcher.list")
        sets = [one["SET"] for one in found["RECORDS"]]
        return [
            target["DEST"]["FLAGS"]
            for one in sets
            if one["ID"] == 1000 + self.project_id
            for target in one["TARGETS"]
        ]

    def close(self) -> None:
        """Remove them."""
        for one in self._ids:
            self._api.delete(f"/trunks/{one}").expect(204)
        self._kamailio.close()


@pytest.fixture
def trunks(stack: Stack, system: System) -> Iterator[Trunks]:
    made = Trunks(stack, system)
    yield made
    made.close()


@pytest.fixture
def peer(authority: Authority, trunks: Trunks) -> Iterator[TlsPeer]:
    """Teams, under the trunks' name."""
    with TlsPeer(authority.issue(trunks.host)) as peer:
        yield peer


def linked_line(system: System, trunks: Trunks) -> Line:
    """Create an account of the trunks' project that is linked to Teams."""
    line = system.new_line(enabled=False, project_id=trunks.project_id)
    system.api.post(f"{line.path}/link-to-teams", wait=10).expect(200)
    return line


@contextmanager
def phone(system: System, line: Line | None = None) -> Iterator[Baresip]:
    """The phone of an account, by default of a new one; it has registered."""
    line = line or system.new_line()
    place = system.internet
    with Baresip(place.registrar, line.credentials, place.client) as phone:
        assert phone.register().accepted
        yield phone


@contextmanager
def answering(phone: Baresip) -> Iterator[None]:
    """Have a phone take the call that somebody makes meanwhile."""

    def answer() -> None:
        phone.wait_incoming(timeout=10)
        phone.answer()

    thread = Thread(target=answer)
    thread.start()
    yield
    thread.join()


def dial(system: System, phone: Baresip, line: Line) -> None:
    phone.dial(f"sip:{line.number}@{system.realm}")


def wait_until_used(peer: TlsPeer, trunks: Trunks) -> Message:
    """Wait until a peer has been asked whether it is there, and is in use."""
    asked = peer.wait_for("OPTIONS")
    eventually(lambda: set(trunks.states()) == {"AP"})
    return asked


def test_keepalives_name_the_fqdn(trunks: Trunks, peer: TlsPeer) -> None:
    trunks.add(peer)
    asked = peer.wait_for("OPTIONS")
    assert asked.start_line.startswith(f"OPTIONS sip:{trunks.host}:{peer.port};transport=tls ")
    assert uri_in(asked.header("From") or "") == f"sip:{trunks.fqdn}"
    assert asked.all("Contact") == [f"<{trunks.here}>"]


def test_a_call_arrives_as_teams_asks_for(system: System, trunks: Trunks, peer: TlsPeer) -> None:
    line = linked_line(system, trunks)
    trunks.add(peer)
    wait_until_used(peer, trunks)
    with phone(system) as caller:
        dial(system, caller, line)
        caller.wait_established(timeout=10)
        invite = peer.wait_for("INVITE")
        assert invite.start_line == (
            f"INVITE sip:{line.number}@{trunks.host}:{peer.port};transport=tls SIP/2.0"
        )
        assert (invite.header("Contact") or "").startswith(f"<{trunks.here};")
        assert len(invite.all("Contact")) == 1
        to_teams, to_caller = map(uri_in, invite.all("Record-Route"))
        assert to_teams.startswith(f"{trunks.here};")
        address = caller.registrar
        assert to_caller.startswith(f"sip:{address.host}:{address.port};")
        peer.wait_for("ACK")


def test_the_caller_hangs_up(system: System, trunks: Trunks, peer: TlsPeer) -> None:
    line = linked_line(system, trunks)
    trunks.add(peer)
    wait_until_used(peer, trunks)
    with phone(system) as caller:
        dial(system, caller, line)
        caller.wait_established(timeout=10)
        caller.hangup()
        bye = peer.wait_for("BYE")
        # What is left of the route is not ours.
        assert bye.all("Route") == []


def test_a_phone_registers_over_tls(stack: Stack, system: System, authority: Authority) -> None:
    line = system.new_line()
    assert stack.tls_port is not None
    here = Registrar(stack.sip_address, stack.tls_port, "tls")
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with Wire(here, "127.0.20.1", tls=trusting) as wire:
        assert wire.register(line.credentials).status == 200
        assert [one["transport"] for one in line.bindings()] == ["tls"]
    # The certificate is for whom it says.
    with pytest.raises(ssl.SSLCertVerificationError):
        Wire(here, "127.0.20.1", tls=trusting, name="sip.elsewhere.test")


@pytest.mark.parametrize(
    ("host", "shown", "good"),
    [
        ("sip.pstnhub.microsoft.com", "sip.pstnhub.microsoft.com", True),
        ("sip.pstnhub.microsoft.com", "SIP.pstnhub.Microsoft.com", True),
        ("sip.pstnhub.microsoft.com", "*.pstnhub.microsoft.com", True),
        ("sip.pstnhub.microsoft.com", "sip-du-a-eu.pstnhub.microsoft.com", True),
        ("sip.pstnhub.microsoft.com", "sip.evil.microsoft.com", False),
        ("sip.pstnhub.microsoft.com", "a.b.pstnhub.microsoft.com", False),
        ("sip.example.co", "*.example.co", True),
        ("sip.example.co", "another.example.co", False),
        ("example.co.uk", "evil.co.uk", False),
        ("example.com", "evil.com", False),
        ("203.0.113.5", "203.0.113.5", True),
        ("203.0.113.5", "198.0.113.5", False),
        ("203.0.113.5", "*.0.113.5", False),
        ("localhost", "", False),
    ],
)
def test_whose_name_a_certificate_may_show(
    database: Database, trunks: Trunks, host: str, shown: str, *, good: bool
) -> None:
    with database.transaction(force_rollback=True):
        database.execute(
            "INSERT INTO provisioner.trunks (name, kind, project_id, host, port, transport, fqdn)"
            " VALUES (%s, 'teams', %s, %s, 5061, 'tls', %s)",
            [token_hex(8), trunks.project_id, host, trunks.fqdn],
        )
        found = database.execute("SELECT kamailio.is_trunk_name('', %s, '') AS known", [shown])
        assert found.fetchone() == {"known": int(good)}


class Teams(Wire):
    """The connection that Teams opens to this server, on which it calls and sends within a call."""

    def __init__(
        self, stack: Stack, authority: Authority, trunks: Trunks, source: str = TEAMS_CLIENT
    ) -> None:
        context = ssl.create_default_context(cafile=str(authority.certificate))
        assert stack.tls_port is not None
        here = Registrar(stack.sip_address, stack.tls_port, "tls")
        super().__init__(here, source, tls=context, name=trunks.fqdn)
        self._here = trunks

    def call(self, caller: str, called: str) -> Message:
        """Call, and return the final answer."""
        headers = {
            "From": f"<sip:{caller}@sip.teams.test>;tag=teams",
            "To": f"<sip:{called}@{self._here.fqdn}>",
            "Contact": f"<sip:{self.source}:{self.port};transport=tls>",
            "Content-Type": "application/sdp",
        }
        uri = f"sip:{called}@{self._here.here.removeprefix('sip:')}"
        answer = self.exchange(
            self.request("INVITE", caller, self._here.fqdn, headers, uri=uri, body=SDP)
        ).response
        assert answer is not None
        return answer

    def follow(self, answer: Message, method: str, number: int) -> bytes:
        """Make a request of the caller's in the call that was answered so."""
        routes = [("Route", route) for route in reversed(answer.all("Record-Route"))]
        lines = [
            f"{method} {uri_in(answer.header('Contact') or '')} SIP/2.0",
            f"Via: {self.via()}",
            *(f"{name}: {value}" for name, value in routes),
            *(f"{name}: {answer.header(name)}" for name in ("From", "To", "Call-ID")),
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send_within(self, invite: Message, method: str, number: int, more: str = "") -> Message:
        """Send a request in the dialog of a call, and return the final answer to it."""
        self.send(within_dialog(invite, method, number, f"TLS {self.source}:{self.port}", more))
        answer = self.final_response()
        assert answer is not None
        return answer


def test_teams_changes_the_call_and_hangs_up(
    stack: Stack, system: System, authority: Authority, trunks: Trunks, peer: TlsPeer
) -> None:
    line = linked_line(system, trunks)
    trunks.add(peer)
    wait_until_used(peer, trunks)
    with phone(system) as caller, Teams(stack, authority, trunks) as teams:
        dial(system, caller, line)
        caller.wait_established(timeout=10)
        invite = peer.wait_for("INVITE")
        contact = f"Contact: <{peer.contact}>\r\nContent-Type: application/sdp\r\n"
        changed = teams.send_within(invite, "INVITE", 1, contact)
        assert changed.status == 200
        assert (changed.header("Contact") or "").startswith(f"<{trunks.here};")
        assert teams.send_within(invite, "BYE", 2).status == 200
        caller.wait_closed(timeout=10)


def test_who_hides_is_hidden_from_teams_and_found_by_it(
    stack: Stack, system: System, authority: Authority, trunks: Trunks, peer: TlsPeer
) -> None:
    line = linked_line(system, trunks)
    trunks.add(peer)
    wait_until_used(peer, trunks)
    hiding = system.new_line()
    system.api.post(f"{hiding.path}/caller-id-rules", {"number": None}).expect(201)
    with phone(system, hiding) as caller, Teams(stack, authority, trunks) as teams:
        dial(system, caller, line)
        caller.wait_established(timeout=10)
        invite = peer.wait_for("INVITE")
        assert (invite.header("Contact") or "").startswith(f"<{trunks.here};")
        assert len(invite.all("Contact")) == 1
        assert uri_in(invite.header("From") or "") == "sip:anonymous@anonymous.invalid"
        assert teams.send_within(invite, "BYE", 1).status == 200
        caller.wait_closed(timeout=10)


@pytest.fixture
def teams(
    stack: Stack, system: System, authority: Authority, trunks: Trunks, peer: TlsPeer
) -> Iterator[Teams]:
    """Teams calls, from the network that is known as its."""
    system.api.put("/networks/teams", {"cidrs": [f"{TEAMS_CLIENT}/32"]}, wait=10).expect(200)
    trunks.add(peer)
    with Teams(stack, authority, trunks) as teams:
        teams.timeout = 10.0
        yield teams


def test_who_calls_from_teams_is_the_account_whose_number_calls(
    system: System, trunks: Trunks, teams: Teams
) -> None:
    line, callee = linked_line(system, trunks), system.new_line()
    with phone(system, callee) as called:
        with answering(called):
            answer = teams.call(line.number, callee.number)
        assert answer.status == 200
        assert (answer.header("Contact") or "").startswith(f"<{trunks.here};")
        # The nearest to the caller is the last one.
        assert uri_in(answer.all("Record-Route")[-1]).startswith(f"{trunks.here};")
        assert len(answer.all("Record-Route")) == 2
        teams.send(teams.follow(answer, "ACK", 1))
        ended = teams.exchange(teams.follow(answer, "BYE", 2))
        assert ended.status == 200
        called.wait_closed(timeout=10)


def test_the_called_phone_hangs_up(system: System, trunks: Trunks, teams: Teams) -> None:
    line, callee = linked_line(system, trunks), system.new_line()
    with phone(system, callee) as called:
        with answering(called):
            answer = teams.call(line.number, callee.number)
        teams.send(teams.follow(answer, "ACK", 1))
        called.wait_established(timeout=10)
        called.hangup()
        bye = teams.receive(10)
        assert bye is not None
        assert bye.start_line.startswith("BYE ")


def test_teams_calls_for_nobody_else(
    stack: Stack, system: System, authority: Authority, trunks: Trunks, teams: Teams
) -> None:
    line, other, callee = linked_line(system, trunks), system.new_line(), system.new_line()
    assert teams.call(other.number, callee.number).status == 403
    # Not from elsewhere: there one has to know the account's password.
    with Teams(stack, authority, trunks, "127.0.20.1") as stranger:
        assert stranger.call(line.number, callee.number).status == 407
    # Nobody is registered, but the call is let through.
    assert teams.call(line.number, callee.number).status == 480


def test_a_trunk_that_does_not_answer_is_not_used_until_it_does(
    system: System, trunks: Trunks, peer: TlsPeer
) -> None:
    line = linked_line(system, trunks)
    peer.deaf = True
    trunks.add(peer)
    with phone(system) as caller:
        eventually(lambda: trunks.states() == ["IP"], within=20)
        dial(system, caller, line)
        assert "480" in caller.wait_closed(timeout=10)
        assert peer.calls() == []
        peer.deaf = False
        eventually(lambda: trunks.states() == ["AP"], within=20)
        dial(system, caller, line)
        caller.wait_established(timeout=10)


def test_a_trunk_that_refuses_gives_way_to_the_next(
    system: System, authority: Authority, trunks: Trunks, peer: TlsPeer
) -> None:
    line = linked_line(system, trunks)
    with TlsPeer(authority.issue(trunks.host)) as first, phone(system) as caller:
        first.busy = True
        trunks.add(peer)
        trunks.add(first, priority=10)
        wait_until_used(first, trunks)
        wait_until_used(peer, trunks)
        dial(system, caller, line)
        caller.wait_established(timeout=10)
        assert len(first.calls()) == 1
        invite = peer.wait_for("INVITE")
        # Nothing is left of the first attempt.
        assert len(invite.all("Record-Route")) == 2
        assert (invite.header("Contact") or "").count("line=") == 1


def test_without_a_trunk_the_call_is_transferred(system: System, trunks: Trunks) -> None:
    line, other_line = linked_line(system, trunks), system.new_line()
    with phone(system) as caller, phone(system, other_line) as other:
        transfer = {"unreachable": {"target": other_line.number}}
        system.api.put(f"{line.path}/call-transfer", transfer).expect(200)
        dial(system, caller, line)
        other.wait_incoming(timeout=10)


def test_a_certificate_must_be_the_trunks_and_of_an_authority_that_we_trust(
    system: System, authority: Authority, trunks: Trunks, tmp_path: Path
) -> None:
    line = linked_line(system, trunks)
    forged = Authority(tmp_path / "another").issue(trunks.host)
    with (
        TlsPeer(authority.issue("elsewhere.test")) as misnamed,
        TlsPeer(forged) as forger,
        phone(system) as caller,
    ):
        trunks.add(misnamed)
        trunks.add(forger)
        eventually(lambda: trunks.states() == ["IP", "IP"], within=20)
        dial(system, caller, line)
        assert "480" in caller.wait_closed(timeout=10)
        # The one has answered, which was no use; the other was never spoken to.
        assert misnamed.received
        assert misnamed.calls() == []
        assert forger.attempts
        assert forger.received == []
