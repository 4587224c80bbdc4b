"""SIP over TLS: phones register and call, and a new certificate needs no restart."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.sip.clients import (
    Authority,
    Baresip,
    Certificate,
    Registrar,
    Wire,
    digest_authorization,
)
from tests.system import INTERNET_CLIENT, System, eventually

pytestmark = pytest.mark.native  # certificates of our own


@pytest.fixture
def registrar(stack: Stack) -> Registrar:
    """The registrar as it is reached over TLS."""
    assert stack.tls_port is not None
    return Registrar(stack.sip_address, stack.tls_port, "tls")


def test_phones_register_and_call(system: System, registrar: Registrar) -> None:
    lines = system.new_line(), system.new_line()
    with (
        Baresip(registrar, lines[0].credentials, INTERNET_CLIENT) as caller,
        Baresip(registrar, lines[1].credentials, INTERNET_CLIENT) as callee,
    ):
        assert caller.register().accepted
        assert callee.register().accepted
        assert [one["transport"] for one in lines[1].bindings()] == ["tls"]
        caller.dial(f"sip:{lines[1].credentials.username}@{system.realm}")
        callee.wait_incoming(timeout=10)
        callee.answer()
        caller.wait_established(timeout=10)
        lines[1].disable()
        caller.wait_closed(timeout=10)
        callee.wait_closed(timeout=10)


def test_a_phone_that_writes_sips_is_the_same_account(
    system: System, registrar: Registrar, authority: Authority
) -> None:
    """RFC 3261 section 26.4.4: it registers, and is called whichever scheme the caller writes."""
    line, caller = system.new_line(), system.new_line()
    user, uri = line.credentials.username, f"sips:{system.realm}"
    with connected(registrar, authority, "a.sbc.test") as phone:
        fields = {
            "From": f"<sips:{user}@{system.realm}>;tag=sips",
            "To": f"<sips:{user}@{system.realm}>",
            "Contact": f"<sips:{user}@{phone.host_port}>",
        }
        first = phone.exchange(phone.request("REGISTER", user, system.realm, fields, uri=uri))
        answer = digest_authorization(line.credentials, first.challenge, method="REGISTER", uri=uri)
        fields["Authorization"] = answer
        second = phone.exchange(phone.request("REGISTER", user, system.realm, fields, uri=uri))
        assert second.status == 200
        assert [one["transport"] for one in line.bindings()] == ["tls"]

        place = system.internet
        with Baresip(place.registrar, caller.credentials, place.client) as calling:
            assert calling.register().accepted
            calling.dial(f"sip:{user}@{system.realm}")
            called = eventually(lambda: phone.receive(1))
            assert called is not None
            assert called.start_line.startswith(f"INVITE sips:{user}@")


# A new certificate, as whoever renews them leaves it: in the place of the old one.


@pytest.fixture
def own(stack: Stack) -> Iterator[Certificate]:
    """The server's certificate, which is put back."""
    environ = stack.kamailio_environ
    names = ("KAMAILIO_TLS_CERTIFICATE", "KAMAILIO_TLS_PRIVATE_KEY")
    files = [Path(environ[name]) for name in names]
    before = [file.read_bytes() for file in files]
    yield Certificate(*files)
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)
    assert reload_tls(stack).returncode == 0


def reload_tls(stack: Stack) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("provisioner")
    environ = {**stack.environ, "PATH": os.environ["PATH"]}
    return subprocess.run(
        [program, "reload-tls"], env=environ, capture_output=True, text=True, check=False
    )


def replace(own: Certificate, new: Certificate) -> None:
    own.certificate.write_bytes(new.certificate.read_bytes())
    own.private_key.write_bytes(new.private_key.read_bytes())


@contextmanager
def connected(registrar: Registrar, authority: Authority, name: str) -> Iterator[Wire]:
    """A connection to a server that shows a certificate for this name."""
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with Wire(registrar, INTERNET_CLIENT, tls=trusting, name=name) as wire:
        yield wire


def shows(registrar: Registrar, authority: Authority, name: str) -> bool:
    try:
        with connected(registrar, authority, name):
            return True
    except ssl.SSLCertVerificationError:
        return False


def test_a_new_certificate_is_shown_and_open_connections_go_on(
    stack: Stack, system: System, registrar: Registrar, authority: Authority, own: Certificate
) -> None:
    line = system.new_line()
    with connected(registrar, authority, "a.sbc.test") as before:
        assert before.register(line.credentials).status == 200
        replace(own, authority.issue("renewed.test", "*.sbc.test"))
        # The control: by itself nothing happens.
        assert not shows(registrar, authority, "renewed.test")

        done = reload_tls(stack)
        assert (done.returncode, done.stdout) == (0, "node1: reloaded\n")
        assert shows(registrar, authority, "renewed.test")
        assert before.register(line.credentials).status == 200
    with connected(registrar, authority, "renewed.test") as after:
        assert after.register(line.credentials).status == 200


def test_a_certificate_that_cannot_be_used_changes_nothing(
    stack: Stack, registrar: Registrar, authority: Authority, own: Certificate
) -> None:
    own.private_key.write_bytes(authority.issue("elsewhere.test").private_key.read_bytes())
    done = reload_tls(stack)
    assert done.returncode == 1
    assert done.stdout.startswith("node1: ")
    assert eventually(lambda: shows(registrar, authority, "a.sbc.test"))
