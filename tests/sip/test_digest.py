"""How a password is proved is a setting: MD5, or SHA-256 (RFC 8760)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.sip.clients import Credentials, Linphone, Sipp, Wire
from tests.sip.clients.wire import Exchange
from tests.system import Line, System, native_system

pytestmark = pytest.mark.native  # starts a system of its own


@pytest.fixture(scope="module")
def sha256(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that asks for SHA-256."""
    directory: Path = tmp_path_factory.mktemp("sha256")
    with Stack(directory, environ={"KAMAILIO_DIGEST_ALGORITHM": "SHA-256"}) as stack:
        yield native_system(stack)


def answered(system: System, line: Line, algorithm: str) -> Exchange:
    """Register with this algorithm, whatever the server asks for."""
    place = system.internet
    with Wire(place.registrar, place.client) as wire:
        challenge = wire.exchange(wire.register_request(line.credentials)).challenge
        challenge["algorithm"] = algorithm
        return wire.exchange(wire.register_request(line.credentials, challenge=challenge))


def asked(system: System) -> str:
    """The algorithm that the server asks for."""
    line, place = system.new_line(), system.internet
    with Wire(place.registrar, place.client) as wire:
        return wire.exchange(wire.register_request(line.credentials)).challenge["algorithm"]


def test_md5_is_asked_for_where_nothing_is_set(system: System) -> None:
    assert asked(system) == "MD5"


def test_sha256_is_asked_for_where_it_is_set(sha256: System) -> None:
    assert asked(sha256) == "SHA-256"


def test_the_right_password_registers_with_sha256(sha256: System) -> None:
    line = sha256.new_line()
    assert answered(sha256, line, "SHA-256").status == 200
    assert line.bindings()


def test_a_phone_that_can_registers_with_sha256(sha256: System) -> None:
    line, place = sha256.new_line(), sha256.internet
    with Linphone(place.registrar, line.credentials, place.client) as phone:
        assert phone.register().accepted
        assert line.bindings()


def test_a_wrong_password_is_refused_with_sha256(sha256: System) -> None:
    line, place = sha256.new_line(), sha256.internet
    wrong = Credentials(line.credentials.username, "notthepassword", sha256.realm)
    with Wire(place.registrar, place.client) as wire:
        assert wire.register(wrong).status == 401
    with Linphone(place.registrar, wrong, place.client) as phone:
        assert not phone.register().accepted


def test_md5_is_not_accepted_where_sha256_is_set(sha256: System) -> None:
    line = sha256.new_line()
    assert answered(sha256, line, "MD5").status == 401
    assert line.bindings() == []


def test_sha256_is_not_accepted_where_md5_is_asked_for(system: System) -> None:
    line = system.new_line()
    assert answered(system, line, "SHA-256").status == 401
    assert line.bindings() == []


def test_a_phone_that_cannot_does_not_register(sha256: System) -> None:
    line, place = sha256.new_line(), sha256.internet
    assert not Sipp(place.registrar, line.credentials, place.client).register().accepted


def test_a_disabled_account_is_told_so_with_sha256(sha256: System) -> None:
    line = sha256.new_line(enabled=False)
    answer = answered(sha256, line, "SHA-256").response
    assert answer
    assert (answer.status, answer.reason) == (403, "Account Disabled")
