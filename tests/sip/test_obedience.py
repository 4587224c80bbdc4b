"""What is taken away from an account is gone at once, on every node; seen by real phones."""

from collections.abc import Iterator

import pytest

from tests.sip.clients import Baresip, Credentials, Sipp, Wire
from tests.system import Line, Place, System, eventually


def phone(line: Line, place: Place, credentials: Credentials | None = None) -> Sipp:
    return Sipp(place.registrar, credentials or line.credentials, place.client)


@pytest.fixture
def line(system: System) -> Line:
    """An enabled account with a phone on the internet that has registered."""
    line = system.new_line()
    assert phone(line, system.internet).register().accepted
    eventually(line.bindings)  # a worker may just have come back
    return line


def test_a_disabled_accounts_binding_is_gone_and_its_phone_refused(
    system: System, line: Line
) -> None:
    account = line.disable()
    assert account["convergence"]["converged"]
    assert account["convergence"]["since"]
    assert line.bindings() == []
    assert phone(line, system.internet).register().outcome == (403, "Account Disabled")


def test_a_real_phone_that_is_disabled_is_refused_as_it_comes_back(system: System) -> None:
    line = system.new_line()
    place = system.internet
    with Baresip(place.registrar, line.credentials, place.client) as baresip:
        assert baresip.register().accepted
        line.disable()
        assert line.bindings() == []
        assert baresip.register().outcome == (403, "Account Disabled")
        line.enable()
        assert baresip.register().accepted
        assert line.bindings()


def test_rotation_drops_the_binding_and_only_the_new_password_registers(
    system: System, line: Line
) -> None:
    answer = line.api.post(f"{line.path}/credentials", wait=10).expect(200)
    assert line.bindings() == []
    assert phone(line, system.internet).register().status == 401
    shown = answer["credentials"]
    new = Credentials(shown["username"], shown["password"], shown["realm"])
    assert phone(line, system.internet, new).register().accepted


def test_a_deleted_accounts_phone_is_a_stranger(system: System, line: Line) -> None:
    line.disable()
    line.api.delete(line.path, wait=10).expect(204)
    assert phone(line, system.internet).register().status == 401
    number = line.api.get(f"/numbers/{line.number}").expect(200)
    assert number["account_id"] is None


def test_a_freed_number_serves_a_new_account(system: System, line: Line) -> None:
    line.disable()
    line.api.delete(line.path, wait=10).expect(204)
    body = {"name": f"Next {line.number}", "main_number": line.number, "voice_channels": 1}
    account = line.api.post("/sip-accounts", body).expect(201)
    shown = account["credentials"]
    new = Line(
        line.api,
        account["id"],
        line.number,
        Credentials(shown["username"], shown["password"], shown["realm"]),
    )
    new.enable()
    assert new.bindings() == []
    assert phone(line, system.internet).register().status == 401
    assert phone(new, system.internet).register().accepted


def test_cloudfire_only_drops_the_binding_outside(system: System, line: Line) -> None:
    line.api.patch(line.path, {"cloudfire_only": True}, wait=10).expect(200)
    assert line.bindings() == []
    assert phone(line, system.internet).register().outcome == (403, "Network Not Allowed")


def test_cloudfire_only_keeps_the_binding_inside(system: System, line: Line) -> None:
    assert phone(line, system.cloudfire).register().accepted
    assert len(line.bindings()) == 2
    line.api.patch(line.path, {"cloudfire_only": True}, wait=10).expect(200)
    (binding,) = line.bindings()
    assert binding["source"].startswith(f"{system.cloudfire.client}:")


def test_dropped_registrations_may_come_back(system: System, line: Line) -> None:
    line.api.delete(f"{line.path}/registrations").expect(204)
    assert line.bindings() == []
    assert phone(line, system.internet).register().accepted


# Allowlists.


@pytest.fixture
def allowlist(system: System) -> Iterator[None]:
    """Leave CloudFire's networks as they were."""
    yield
    system.api.put("/networks/cloudfire", {"cidrs": [system.cloudfire_cidr]}, wait=10).expect(200)


@pytest.mark.usefixtures("allowlist")
def test_a_tightened_allowlist_drops_the_binding_and_refuses_the_phone(system: System) -> None:
    line = system.new_line(cloudfire_only=True)
    other = system.new_line()
    for one in (line, other):
        assert phone(one, system.cloudfire).register().accepted
    system.api.put("/networks/cloudfire", {"cidrs": ["192.0.2.0/24"]}, wait=10).expect(200)
    assert line.bindings() == []
    assert phone(line, system.cloudfire).register().outcome == (403, "Network Not Allowed")
    assert other.bindings()


@pytest.mark.usefixtures("allowlist")
def test_a_widened_allowlist_lets_the_phone_in(system: System) -> None:
    line = system.new_line(cloudfire_only=True)
    assert phone(line, system.internet).register().status == 403
    cidrs = [system.cloudfire_cidr, f"{system.internet.client}/32", "2001:db8::/32"]
    system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=10).expect(200)
    assert phone(line, system.internet).register().accepted


@pytest.mark.usefixtures("allowlist")
def test_the_last_of_many_quick_changes_holds(system: System) -> None:
    """Kamailio refuses a reload so soon after another; the worker tries again until it is done."""
    line = system.new_line(cloudfire_only=True)
    for last in range(1, 20):
        system.api.put("/networks/cloudfire", {"cidrs": [f"192.0.2.{last}/32"]}).expect(200)
    cidrs = [f"{system.internet.client}/32"]
    answer = system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=10).expect(200)
    assert answer["convergence"]["converged"]
    assert phone(line, system.internet).register().accepted
    assert phone(line, system.cloudfire).register().status == 403


@pytest.mark.usefixtures("allowlist")
def test_more_networks_than_kamailio_loads_by_default_are_all_loaded(system: System) -> None:
    line = system.new_line(cloudfire_only=True)
    cidrs = [f"198.18.{i // 64}.{i % 64 * 4}/30" for i in range(700)]
    cidrs.append(f"{system.internet.client}/32")
    system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=10).expect(200)
    assert phone(line, system.internet).register().accepted


@pytest.mark.usefixtures("allowlist")
def test_ipv6_networks_are_loaded_as_they_were_given(system: System) -> None:
    cidrs = [system.cloudfire_cidr, "2001:db8::/32", "2001:db8:1::1/128", "fd00::/8"]
    answer = system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=10).expect(200)
    assert answer["convergence"]["converged"]


@pytest.mark.parametrize("name", ["User-Agent", "Contact"])
def test_a_phone_that_sends_odd_bytes_is_kicked_like_any_other(system: System, name: str) -> None:
    line, place = system.new_line(cloudfire_only=True), system.cloudfire
    odd = {"User-Agent": "caf\udce9", "Contact": "<sip:\udce9@192.0.2.1>"}
    with Wire(place.registrar, place.client) as wire:
        challenge = wire.exchange(wire.register_request(line.credentials)).challenge
        request = wire.register_request(
            line.credentials, challenge=challenge, headers={name: odd[name]}
        )
        assert wire.exchange(request).status == 200
    (binding,) = line.bindings()
    assert "\ufffd" in binding["user_agent" if name == "User-Agent" else "contact"]
    line.disable()
    assert line.bindings() == []


def test_one_of_two_phones_is_dropped(system: System) -> None:
    line = system.new_line()
    place = system.internet
    with phone(line, place) as first, phone(line, place) as second:
        assert first.register().accepted
        assert second.register().accepted
        dropped, kept = line.bindings()
        path = f"{line.path}/registrations"
        line.api.delete(f"{path}/{dropped['id']}").expect(204)
        assert [binding["id"] for binding in line.bindings()] == [kept["id"]]
        line.api.delete(f"{path}/{dropped['id']}").expect(404)
        line.api.delete(f"{system.new_line().path}/registrations/{kept['id']}").expect(404)
        assert first.register().accepted
