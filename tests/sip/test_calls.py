"""Phones that have registered are reachable."""

from tests.sip.clients import Baresip
from tests.system import System


def test_one_account_calls_another(system: System) -> None:
    caller, callee = system.new_line(), system.new_line()
    here, there = system.internet, system.cloudfire
    with (
        Baresip(here.registrar, caller.credentials, here.client) as calling,
        Baresip(there.registrar, callee.credentials, there.client) as called,
    ):
        assert calling.register().accepted
        assert called.register().accepted
        calling.dial(f"sip:{callee.credentials.username}@{system.realm}")
        assert caller.credentials.username in called.wait_incoming(timeout=10)
        called.answer()
        calling.wait_established(timeout=10)
        called.hangup()
        calling.wait_closed(timeout=10)


def test_a_disabled_account_cannot_call(system: System) -> None:
    caller, callee = system.new_line(), system.new_line()
    place = system.internet
    with Baresip(place.registrar, caller.credentials, place.client) as calling:
        assert calling.register().accepted
        caller.disable()
        calling.dial(f"sip:{callee.credentials.username}@{system.realm}")
        assert "403" in calling.wait_closed(timeout=10)
