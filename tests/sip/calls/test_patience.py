"""What takes its time: nobody answers, somebody vanishes. All of it happens at once."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.sip.calls.conftest import Device, hang_up, talk
from tests.sip.calls.test_transfer import TARGET, assert_diverted, transfer
from tests.sip.clients import ClientError, IncomingCall, OutgoingCall
from tests.system import Line, System, Trunk, eventually

pytestmark = pytest.mark.native  # a minute once is enough

SOMEBODY = "+390299000001"
OTHER_TARGET = "+390299000008"


@dataclass
class Scene:
    """Calls that began at one moment (seconds of `time.monotonic`)."""

    began: float
    carrier: Device
    unanswered: OutgoingCall
    ringing: IncomingCall
    transferring: Line
    vanishing: Line
    again: Device
    left_behind: IncomingCall
    passed_on: OutgoingCall
    last: Device
    ringing_before_silence: OutgoingCall
    silent: Device
    diverted: list[str]
    ringing_last: list[IncomingCall] = field(default_factory=list)


@pytest.fixture(scope="module")
def scene(system: System, trunk: Trunk) -> Iterator[Scene]:
    transferring, vanishing = system.new_line(), system.new_line(voice_channels=1)
    transfer(transferring, "no_answer")
    passing_on, final = system.new_line(), system.new_line()
    transfer(passing_on, "no_answer", final.number)
    rings_first, says_nothing = system.new_line(), system.new_line()
    transfer(rings_first, "no_answer", says_nothing.number)
    transfer(says_nothing, "unreachable", OTHER_TARGET)
    with (
        Device(system, None, trunk.place, trunk.transport, trunk.port) as carrier,
        Device(system, transferring, system.internet, "udp") as phone,
        Device(system, vanishing, system.internet, "udp") as vanished,
        Device(system, vanishing, system.internet, "udp") as again,
        Device(system, passing_on, system.internet, "udp") as first,
        Device(system, final, system.internet, "udp") as last,
        Device(system, rings_first, system.internet, "udp") as rings,
        Device(system, says_nothing, system.internet, "udp") as silent,
    ):
        assert rings.register(rings_first.credentials).status == 200
        assert silent.register(says_nothing.credentials).status == 200
        assert first.register(passing_on.credentials).status == 200
        assert last.register(final.credentials).status == 200
        assert phone.register(transferring.credentials).status == 200
        call = vanished.call(SOMEBODY)
        left_behind = carrier.incoming()
        talk(call, left_behind)
        vanished.close()
        unanswered = carrier.call(transferring.number, caller="+442079460000")
        ringing = phone.incoming()
        ringing.ring()
        began = time.monotonic()
        passed_on = carrier.call(passing_on.number)
        first.incoming().ring()
        before_silence = carrier.call(rings_first.number)
        rings.incoming().ring()
        yield Scene(
            began,
            *(carrier, unanswered, ringing, transferring, vanishing, again, left_behind),
            *(passed_on, last),
            ringing_before_silence=before_silence,
            silent=silent,
            diverted=[rings_first.number, says_nothing.number],
        )


def test_a_call_that_is_not_answered_in_20_seconds_is_transferred(
    system: System, scene: Scene
) -> None:
    incoming = scene.carrier.incoming(timeout=30)
    assert 19 < time.monotonic() - scene.began < 23
    assert incoming.called == TARGET
    assert_diverted(system, incoming, [scene.transferring.number], "no-answer", TARGET)
    onward = scene.last.incoming()
    onward.ring()
    scene.ringing_last.append(onward)
    scene.ringing.wait_cancel()
    talk(scene.unanswered, incoming)
    hang_up(incoming, scene.unanswered)


def test_a_device_that_says_nothing_is_unreachable_also_after_one_that_rang(
    system: System, scene: Scene
) -> None:
    """Known 5 s after the first one was given up."""
    incoming = scene.carrier.incoming(timeout=10)
    assert incoming.called == OTHER_TARGET
    assert_diverted(system, incoming, scene.diverted, "unavailable", OTHER_TARGET)
    talk(scene.ringing_before_silence, incoming)
    hang_up(scene.ringing_before_silence, incoming)
    assert not scene.silent.is_quiet()


def test_a_caller_that_vanished_frees_its_channel_within_a_minute(scene: Scene) -> None:
    assert scene.again.call(SOMEBODY).outcome() == (403, "Channel Limit Reached")
    left = scene.began + 62 - time.monotonic()
    scene.left_behind.wait_bye(timeout=left)
    eventually(lambda: scene.vanishing.read()["channels"]["used"] == 0, within=5)
    call = scene.again.call(SOMEBODY)
    incoming = scene.carrier.incoming()
    talk(call, incoming)
    hang_up(call, incoming)


def test_where_a_call_was_transferred_to_it_rings_for_longer_than_20_seconds(scene: Scene) -> None:
    (onward,) = scene.ringing_last
    rings_since = scene.began + 20
    with pytest.raises(ClientError, match="no CANCEL in time"):
        onward.wait_cancel(timeout=max(0.1, rings_since + 25 - time.monotonic()))
    talk(scene.passed_on, onward)
    hang_up(onward, scene.passed_on)
