"""Phones behind different routers hear each other through rtpengine, and call without it."""

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from time import monotonic

import pytest

from provisioner.stack.processes import Process
from provisioner.stack.stack import Stack
from tests.sip.clients import Baresip, Endpoint, Registrar
from tests.sip.nat import MasqueradedNetwork, two_homes
from tests.system import INTERNET_CLIENT, System, eventually, native_system

pytestmark = pytest.mark.native  # makes network namespaces

HEARD = 50  # packets: a second of talk
DEAF = 3.0  # seconds in which nothing may arrive where there is no way

CALLER = "127.0.20.2"
STRANGER = "127.0.20.9"
PATIENCE = 5.0  # seconds for one packet on the loopback

Homes = tuple[MasqueradedNetwork, MasqueradedNetwork]


@contextmanager
def system_around(homes: Homes, directory: Path, environ: Mapping[str, str]) -> Iterator[Stack]:
    """A system that both homes can reach."""
    address = homes[0].registrar_address
    with Stack(
        directory,
        environ=environ,
        extra_sip_addresses=[address],
        media_address=address,
        durable=False,
    ) as stack:
        yield stack


@contextmanager
def phone_at(home: MasqueradedNetwork, system: System) -> Iterator[Baresip]:
    """The registered phone of a new account, whose voice is counted."""
    registrar = Registrar(home.registrar_address, system.internet.registrar.port)
    line = system.new_line()
    with Baresip(registrar, line.credentials, home.home_address, run_in=home.run_in) as phone:
        home.count_media(phone.port)
        assert phone.register().accepted
        yield phone


@contextmanager
def call_between(homes: Homes, system: System) -> Iterator[None]:
    """A call that was answered, from one home to the other."""
    with phone_at(homes[0], system) as caller, phone_at(homes[1], system) as callee:
        caller.dial(f"sip:{callee.credentials.username}@{system.realm}")
        callee.wait_incoming(timeout=10)
        callee.answer()
        caller.wait_established(timeout=10)
        yield
        caller.hangup()
        callee.wait_closed(timeout=10)


def media_of(stack: Stack) -> Process:
    assert stack.media is not None
    return stack.media


def test_phones_behind_two_routers_hear_each_other_while_rtpengine_runs(tmp_path: Path) -> None:
    with two_homes() as homes, system_around(homes, tmp_path, {}) as stack:
        system = native_system(stack)
        with call_between(homes, system):
            eventually(lambda: all(home.arrived() >= HEARD for home in homes))

        # Without it, calls still go through.
        media_of(stack).kill()
        with call_between(homes, system):
            pass


def test_without_rtpengine_they_do_not(tmp_path: Path) -> None:
    with (
        two_homes() as homes,
        system_around(homes, tmp_path, {"MEDIA_PROXY": "off"}) as stack,
        call_between(homes, native_system(stack)),
    ):
        began = monotonic()
        eventually(lambda: all(home.sent() > 2 * HEARD for home in homes))
        eventually(lambda: monotonic() - began > DEAF)
        assert [home.arrived() for home in homes] == [0, 0]


def sessions(system: System) -> tuple[list[str], list[str]]:
    """What both sides of a call without NAT wrote of themselves, and what the other read."""
    registrar, lines = system.internet.registrar, (system.new_line(), system.new_line())
    with Endpoint(registrar, CALLER) as caller, Endpoint(registrar, INTERNET_CLIENT) as callee:
        assert callee.register(lines[1].credentials).status == 200
        call = caller.dial(lines[1].number, system.realm, credentials=lines[0].credentials)
        incoming = callee.incoming()
        incoming.take()
        answer = call.answered()
        incoming.wait_ack()
        call.request("BYE")
        incoming.wait_bye()
        return [caller.sdp, callee.sdp], [incoming.invite.body, answer.body]


def test_phones_that_reach_each_other_are_left_alone(system: System) -> None:
    written, read = sessions(system)
    assert read == written


@pytest.fixture(scope="module")
def relaying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A system of which every call goes through rtpengine."""
    environ = {"MEDIA_PROXY": "always"}
    with Stack(tmp_path_factory.mktemp("stack"), environ=environ, durable=False) as stack:
        yield stack


def test_every_call_goes_through_rtpengine_if_it_shall(relaying: Stack) -> None:
    _, read = sessions(native_system(relaying))
    assert all(f"c=IN IP4 {relaying.media_address}\r\n" in session for session in read)


class Talker(Endpoint):
    """An endpoint with a socket for voice."""

    def __init__(self, registrar: Registrar, source: str) -> None:
        super().__init__(registrar, source)
        self.voice = voice_socket(source)

    @property
    def sdp(self) -> str:
        """An offer, or answer, of a call that is heard at `voice`."""
        port = self.voice.getsockname()[1]
        return super().sdp.replace("audio 9", f"audio {port}").replace("inactive", "sendrecv")

    def close(self) -> None:
        self.voice.close()
        super().close()


def voice_socket(address: str) -> socket:
    made = socket(AF_INET, SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(PATIENCE)
    return made


def voice(sender: str) -> bytes:
    """A packet of G.711 that shows who sent it (RFC 3550, section 5.1)."""
    return struct.pack("!BBHII", 0x80, 8, 1, 160, 1) + sender.encode().ljust(160, b" ")


def way(stack: Stack, session: str) -> tuple[str, int]:
    """Where to send voice, as an SDP says."""
    found = re.search(r"^m=audio (\d+) ", session, re.MULTILINE)
    assert found is not None
    return stack.media_address, int(found.group(1))


def test_a_stranger_neither_hears_a_call_nor_is_heard(relaying: Stack) -> None:
    system = native_system(relaying)
    registrar, lines = system.internet.registrar, (system.new_line(), system.new_line())
    with (
        Talker(registrar, CALLER) as caller,
        Talker(registrar, INTERNET_CLIENT) as callee,
        voice_socket(STRANGER) as stranger,
    ):
        assert callee.register(lines[1].credentials).status == 200
        call = caller.dial(lines[1].number, system.realm, credentials=lines[0].credentials)
        incoming = callee.incoming()
        incoming.take()
        to_callee = way(relaying, call.answered().body)
        to_caller = way(relaying, incoming.invite.body)
        incoming.wait_ack()
        caller.voice.sendto(voice("caller"), to_callee)
        assert callee.voice.recv(500) == voice("caller")
        for _ in range(HEARD):
            # The stranger plays the caller, and wants to hear the callee.
            stranger.sendto(voice("stranger"), to_callee)
            callee.voice.sendto(voice("callee"), to_caller)
            assert caller.voice.recv(500) == voice("callee")
        caller.voice.sendto(voice("end"), to_callee)
        assert callee.voice.recv(500) == voice("end")
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(500)
        call.request("BYE")
        incoming.wait_bye()
