"""Devices that make and take calls as a test tells them, and a carrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tests.sip.clients import Call, Endpoint, IncomingCall, OutgoingCall, Registrar, Transport

if TYPE_CHECKING:
    import ssl

    from tests.system import Line, Place, System


class Device(Endpoint):
    """An account's device, or, without an account, a carrier's server."""

    def __init__(
        self,
        system: System,
        line: Line | None,
        place: Place,
        transport: Transport,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        registrar = Registrar(place.registrar.host, place.registrar.port, transport)
        super().__init__(registrar, place.client, port=port, tls=tls)
        self.system = system
        self.credentials = line.credentials if line else None

    def call(self, number: str, **details: Any) -> OutgoingCall:
        """Call a number; `details` are those of `dial`."""
        return self.dial(number, self.system.realm, credentials=self.credentials, **details)


def talk(call: OutgoingCall, incoming: IncomingCall) -> None:
    """Answer a call, and wait until both sides know."""
    incoming.take()
    assert call.outcome() == (200, "OK")
    incoming.wait_ack()


def hang_up(one: Call, other: Call) -> None:
    """End a call from one side, and see that it ends at the other."""
    one.request("BYE")
    other.wait_bye()
    assert one.final("BYE").status == 200


def give_up(caller: Device, callee: Device, line: Line) -> None:
    """Call a line, and cancel while it rings."""
    call = caller.call(line.number)
    incoming = callee.incoming()
    incoming.ring()
    call.provisional(180)
    call.cancel()
    incoming.wait_cancel()
    assert call.outcome() == (487, "Request Terminated")


class MakeDevice(Protocol):
    def __call__(
        self,
        line: Line,
        *,
        place: Place | None = None,
        transport: Transport = "udp",
        registered: bool = True,
    ) -> Device: ...
