"""A request whose credentials somebody has overheard: nobody gets in with a copy of it."""

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Wire, as_new_transaction, digest_authorization
from tests.system import Line, Place, System

pytestmark = pytest.mark.native  # starts nodes of its own

COPIES_AT_ONCE = 20
OTHER_ADDRESS = "127.0.20.2"
CHALLENGED = (401, 407)

# The configuration without what a nonce is good for: one request, one URI, one source.
FORGETFUL = {
    rf'^modparam\("auth", "{name}", \d\)': f'modparam("auth", "{name}", 0)'
    for name in ("one_time_nonce", "auth_checks_register", "auth_checks_no_dlg")
}
SECRET = secrets.token_hex(32)


def with_field(request: bytes, name: str, value: str) -> bytes:
    """The same request with another value of a header field."""
    pattern = rf"^{name}: [^\r]*".encode()
    return re.sub(pattern, f"{name}: {value}".encode(), request, count=1, flags=re.MULTILINE)


def as_new_call(request: bytes) -> bytes:
    """As if it were the first one of a call, or of a device that starts."""
    fresh = with_field(as_new_transaction(request), "Call-ID", secrets.token_hex(12))
    return re.sub(rb";tag=\w+", f";tag={secrets.token_hex(4)}".encode(), fresh, count=1)


def with_another_contact(request: bytes) -> bytes:
    """The answer to the challenge does not cover Contact."""
    return with_field(as_new_call(request), "Contact", "<sip:attacker@192.0.2.66>")


def for_another_number(request: bytes) -> bytes:
    """The answer to the challenge covers the URI that it names, not the one that is called."""
    called = as_new_call(request)
    return re.sub(rb"^(\w+ sip:)[^@ ]+@", rb"\g<1>+39899123456@", called, count=1)


def with_higher_count(request: bytes) -> bytes:
    """The next count of the nonce, for which the response would have to be another."""
    return re.sub(rb"nc=0000000\d", b"nc=00000009", as_new_call(request))


COPIES = [as_new_transaction, as_new_call, with_another_contact]
COPIES_OF_A_CALL = [*COPIES, for_another_number]


@pytest.fixture(scope="module")
def other(stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A second node, with a nonce secret of its own."""
    with another_node(stack, system, tmp_path_factory.mktemp("other")) as node:
        yield node


def forgetful(stack: Stack, system: System, folder: Path) -> AbstractContextManager[Node]:
    """The control: a node that does not remember what a nonce was made and used for. All of its
    kind have one secret.
    """
    environ = {"KAMAILIO_NONCE_SECRET": SECRET}
    return another_node(stack, system, folder, changes=FORGETFUL, environ=environ)


@pytest.fixture(scope="module")
def weak(stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with forgetful(stack, system, tmp_path_factory.mktemp("weak")) as node:
        yield node


@pytest.fixture(scope="module")
def other_weak(
    stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    with forgetful(stack, system, tmp_path_factory.mktemp("other_weak")) as node:
        yield node


def overheard(place: Place, line: Line, method: str, callee: Line) -> bytes:
    """A request that was let in."""
    with Wire(place.registrar, place.client) as wire:
        if method == "REGISTER":
            exchange = wire.register(line.credentials)
            assert exchange.status == 200
        else:
            exchange = wire.invite(line.credentials, callee.number)
            # Nobody is registered, but the call was let through.
            assert exchange.status == 480
    return exchange.request


def replayed(place: Place, request: bytes, *, source: str | None = None) -> int:
    """The status that a copy gets."""
    with Wire(place.registrar, source or place.client) as wire:
        return wire.exchange(request).status


def all_copies(method: str) -> Sequence[Callable[[bytes], bytes]]:
    return COPIES if method == "REGISTER" else COPIES_OF_A_CALL


def replays(system: System, heard_at: Place, played_to: Place, method: str) -> list[int]:
    """The statuses of every kind of copy, from the same address and from another."""
    statuses = []
    for source in (heard_at.client, OTHER_ADDRESS):
        for copy in all_copies(method):
            line, callee = system.new_line(), system.new_line()
            request = overheard(heard_at, line, method, callee)
            statuses.append(replayed(played_to, copy(request), source=source))
    return statuses


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_copy_is_challenged_by_the_same_node(
    system: System, method: str, figures: Figures
) -> None:
    place = system.internet
    statuses = replays(system, place, place, method)
    accepted = [status for status in statuses if status not in CHALLENGED]
    figures(f"replayed {method}s accepted, same node", f"{len(accepted)} of {len(statuses)}")
    assert accepted == []


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_copy_is_challenged_by_another_node(
    system: System, other: Node, method: str, figures: Figures
) -> None:
    here, there = system.internet, other.system.internet
    statuses = replays(system, here, there, method) + replays(system, there, here, method)
    accepted = [status for status in statuses if status not in CHALLENGED]
    figures(f"replayed {method}s accepted, other node", f"{len(accepted)} of {len(statuses)}")
    assert accepted == []


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_forgetful_nodes_accept_each_copy(
    weak: Node, other_weak: Node, method: str, figures: Figures
) -> None:
    """The control: the one that has heard it, and the other that has its secret."""
    heard_at = weak.system.internet
    for node in (weak, other_weak):
        statuses = replays(weak.system, heard_at, node.system.internet, method)
        accepted = [status for status in statuses if status not in CHALLENGED]
        figures(f"control: replayed {method}s accepted", f"{len(accepted)} of {len(statuses)}")
        assert accepted == statuses


def test_a_copy_with_another_count_needs_the_password(system: System, weak: Node) -> None:
    """Even where nonces are forgotten."""
    for place in (system.internet, weak.system.internet):
        request = overheard(place, system.new_line(), "REGISTER", system.new_line())
        assert replayed(place, with_higher_count(request)) == 401


def test_the_answer_to_one_method_is_not_good_for_another(system: System, weak: Node) -> None:
    """Even where nonces are forgotten."""
    for place in (system.internet, weak.system.internet):
        line = system.new_line()
        request = overheard(place, line, "REGISTER", line)
        call = re.sub(rb"^REGISTER |(?<=\d )REGISTER", b"INVITE ", as_new_call(request))
        call = call.replace(b"INVITE \r", b"INVITE\r").replace(b"\r\nAuth", b"\r\nProxy-Auth")
        assert replayed(place, call) == 407


def without_qop(place: Place, line: Line) -> bytes:
    """Register as a device that does not count (RFC 2069), and return what it sent."""
    with Wire(place.registrar, place.client) as wire:
        challenge = wire.exchange(wire.register_request(line.credentials)).challenge
        del challenge["qop"]
        exchange = wire.exchange(wire.register_request(line.credentials, challenge=challenge))
    assert exchange.status == 200
    return exchange.request


def test_a_device_that_does_not_count_is_not_replayed(system: System, weak: Node) -> None:
    place = system.internet
    assert replayed(place, as_new_call(without_qop(place, system.new_line()))) == 401
    place = weak.system.internet
    assert replayed(place, as_new_call(without_qop(place, system.new_line()))) == 200


def accepted_at_once(place: Place, line: Line) -> int:
    """How many of some copies are accepted that arrive in one moment, the original among them."""
    with Wire(place.registrar, place.client) as wire:
        challenge = wire.exchange(wire.register_request(line.credentials)).challenge
        request = wire.register_request(line.credentials, challenge=challenge)
        for _ in range(COPIES_AT_ONCE):
            wire.send(as_new_transaction(request))
        answers = [wire.final_response() for _ in range(COPIES_AT_ONCE)]
    statuses = [answer.status for answer in answers if answer]
    assert len(statuses) == COPIES_AT_ONCE
    return statuses.count(200)


def test_of_many_copies_at_once_one_is_accepted(
    system: System, weak: Node, figures: Figures
) -> None:
    accepted = [accepted_at_once(system.internet, system.new_line()) for _ in range(5)]
    figures(f"accepted of {COPIES_AT_ONCE} copies at once, five times", accepted)
    assert set(accepted) == {1}
    assert accepted_at_once(weak.system.internet, system.new_line()) == COPIES_AT_ONCE


def test_a_digest_that_was_made_for_one_number_calls_no_other(system: System, weak: Node) -> None:
    """A device is made to call one number, and its answer is used before it is."""
    for node, good in ((system, False), (weak.system, True)):
        place, line = node.internet, system.new_line()
        with Wire(place.registrar, place.client) as wire:
            user, realm = line.credentials.username, system.realm
            uri, other = f"sip:+390299000001@{realm}", f"sip:{system.new_line().number}@{realm}"
            headers = {"To": f"<{uri}>", "Contact": f"<sip:{user}@{wire.host_port}>"}
            first = wire.exchange(wire.request("INVITE", user, realm, headers, uri=uri))
            answer = digest_authorization(
                line.credentials, first.challenge, method="INVITE", uri=uri
            )
            headers["Proxy-Authorization"] = answer
            status = wire.exchange(wire.request("INVITE", user, realm, headers, uri=other)).status
        assert (status == 480) is good
        assert (status == 407) is not good


def test_a_nonce_is_good_for_the_address_that_asked_for_it(system: System, weak: Node) -> None:
    """Or anybody could guess, and be banned, in the name of an address that he writes."""
    for node, good in ((system, False), (weak.system, True)):
        place, line = node.internet, system.new_line()
        with (
            Wire(place.registrar, place.client) as asking,
            Wire(place.registrar, OTHER_ADDRESS) as answering,
        ):
            challenge = asking.exchange(asking.register_request(line.credentials)).challenge
            request = answering.register_request(line.credentials, challenge=challenge)
            assert answering.exchange(request).status == (200 if good else 401)
