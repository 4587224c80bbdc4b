"""Who may register, from where, and what the others are told; seen by real phones."""

import pytest

from tests.sip.clients import PHONES, Credentials, Phone, Sipp, Wire, as_new_transaction
from tests.sip.clients.message import Message
from tests.system import Line, Place, System

EVERY_PHONE = pytest.mark.parametrize("phone", PHONES, ids=lambda phone: phone.name)
WRONG = "notthepassword"


@pytest.fixture(params=["cloudfire", "internet"])
def place(request: pytest.FixtureRequest, system: System) -> Place:
    """Inside and outside CloudFire's networks."""
    found: Place = getattr(system, request.param)
    return found


def at(place: Place, phone: type[Phone], credentials: Credentials) -> Phone:
    """Put a phone with these credentials somewhere."""
    return phone(place.registrar, credentials, place.client)


@EVERY_PHONE
def test_an_enabled_account_registers_from_anywhere(
    system: System, place: Place, phone: type[Phone]
) -> None:
    line = system.new_line()
    with at(place, phone, line.credentials) as device:
        assert device.register().accepted
        (binding,) = line.bindings()
        assert binding["source"].startswith(f"{place.client}:")
        assert binding["user_agent"].startswith(device.user_agent)
        assert binding["node"]
        assert binding["expires_at"]
        assert line.credentials.username in binding["contact"]


@EVERY_PHONE
def test_a_disabled_account_is_told_so(system: System, phone: type[Phone]) -> None:
    line = system.new_line(enabled=False)
    with at(system.internet, phone, line.credentials) as device:
        assert device.register().outcome == (403, "Account Disabled")
    assert line.bindings() == []


@EVERY_PHONE
def test_a_wrong_password_is_refused(system: System, phone: type[Phone]) -> None:
    line = system.new_line()
    wrong = Credentials(line.credentials.username, WRONG, system.realm)
    with at(system.internet, phone, wrong) as device:
        # baresip answers each challenge anew, until it may guess no more.
        assert device.register().status in (401, 503)
    assert line.bindings() == []


@EVERY_PHONE
def test_a_cloudfire_only_account_registers_from_inside(system: System, phone: type[Phone]) -> None:
    line = system.new_line(cloudfire_only=True)
    with at(system.cloudfire, phone, line.credentials) as device:
        assert device.register().accepted
        assert line.bindings()


@EVERY_PHONE
def test_a_cloudfire_only_account_is_refused_outside(system: System, phone: type[Phone]) -> None:
    line = system.new_line(cloudfire_only=True)
    with at(system.internet, phone, line.credentials) as device:
        assert device.register().outcome == (403, "Network Not Allowed")
    assert line.bindings() == []


@pytest.mark.parametrize(("name", "accepted"), [("cloudfire", True), ("internet", False)])
def test_a_teams_account_registers_from_inside_only(
    system: System, name: str, accepted: bool
) -> None:
    line = system.new_line(enabled=False)
    line.api.post(f"{line.path}/link-to-teams", wait=10).expect(200)
    with at(getattr(system, name), Sipp, line.credentials) as device:
        assert device.register().accepted is accepted


def test_a_phone_registers_over_tcp(system: System, place: Place) -> None:
    line = system.new_line()
    registrar = type(place.registrar)(place.registrar.host, place.registrar.port, "tcp")
    with Sipp(registrar, line.credentials, place.client) as device:
        assert device.register().accepted
        (binding,) = line.bindings()
        assert binding["transport"] == "tcp"


def test_a_phone_takes_its_binding_away(system: System) -> None:
    line = system.new_line()
    with at(system.internet, Sipp, line.credentials) as device:
        device.register()
        assert line.bindings()
        assert device.unregister().accepted
    assert line.bindings() == []


def test_one_account_never_binds_anothers_address(system: System) -> None:
    mine, other = system.new_line(), system.new_line()
    with Sipp(system.internet.registrar, mine.credentials, system.internet.client) as device:
        assert device.register(as_user=other.credentials.username).status == 401
    assert mine.bindings() == []
    assert other.bindings() == []


# What an attacker sees.


def shape(answer: Message | None) -> tuple[str, list[str]]:
    """An answer without what differs between any two: its start line and its header names."""
    assert answer
    return answer.start_line, [name for name, _ in answer.headers]


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(system: System) -> None:
    known, disabled = system.new_line(), system.new_line(enabled=False)
    names = [known.credentials.username, disabled.credentials.username, "390000000000", "admin"]
    answers = []
    for name in names:
        with Wire(system.internet.registrar, system.internet.client) as wire:
            answers.append(wire.register(Credentials(name, WRONG, system.realm)).response)
    assert all(shape(answer) == shape(answers[0]) for answer in answers)
    assert shape(answers[0])[0] == "SIP/2.0 401 Unauthorized"


def test_a_users_own_password_does_not_tell_whether_another_user_exists(system: System) -> None:
    mine, other = system.new_line(), system.new_line()
    answers = []
    for name in (other.credentials.username, "390000000000"):
        with Wire(system.internet.registrar, system.internet.client) as wire:
            answers.append(wire.register(mine.credentials, as_user=name).response)
    assert shape(answers[0]) == shape(answers[1])


def replayed(system: System, line: Line, *, new_transaction: bool) -> int:
    """Register, unregister, then send the first authenticated REGISTER once more."""
    with Wire(system.internet.registrar, system.internet.client) as wire:
        good = wire.register(line.credentials)
        assert good.status == 200
        assert wire.register(line.credentials, expires=0).status == 200
        request = good.request
        if new_transaction:
            request = as_new_transaction(request)
        return wire.exchange(request).status


def test_a_replayed_register_is_challenged(system: System) -> None:
    line = system.new_line()
    assert replayed(system, line, new_transaction=True) == 401
    assert line.bindings() == []


def test_a_retransmission_does_not_bind_again(system: System) -> None:
    """The same transaction gets the same answer again (RFC 3261 section 17.2.2)."""
    line = system.new_line()
    assert replayed(system, line, new_transaction=False) == 200
    assert line.bindings() == []


def test_answers_do_not_tell_the_servers_version(system: System) -> None:
    line = system.new_line()
    with Wire(system.internet.registrar, system.internet.client) as wire:
        answer = wire.register(line.credentials).response
    assert answer
    assert "kamailio" not in str(answer).lower()
