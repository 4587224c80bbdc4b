"""Certificates for TLS: an authority that tests trust, and what it says of others."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and of its private key (PEM)."""

    certificate: Path
    private_key: Path


class Authority:
    """A certificate authority whose files lie in a directory; `certificate` is its own."""

    def __init__(self, directory: Path, name: str = "Test authority") -> None:
        self.certificate = directory / "authority.pem"
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        unsigned = _builder(self._name, self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        signed = unsigned.sign(self._key, hashes.SHA256())
        directory.mkdir(exist_ok=True)
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, *hosts: str) -> Certificate:
        """Make a certificate for host names and addresses; the first one is its subject, too."""
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = _builder(_name(hosts[0]), self._name, key.public_key()).add_extension(
            x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
        )
        signed = unsigned.sign(self._key, hashes.SHA256())
        file = self._directory / f"{signed.serial_number:x}.pem"
        made = Certificate(file, file.with_suffix(".key"))
        made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        made.private_key.touch(mode=0o600)
        made.private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )
