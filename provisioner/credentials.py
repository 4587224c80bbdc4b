"""Digest credentials: made here, stored as HA1 only, shown once."""

import hashlib
import secrets
from dataclasses import dataclass, field

from passlib.hash import htdigest
from passlib.pwd import genword

# Letters and digits that a phone's keypad page can type, without those that look alike.
ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
ENTROPY = 128  # bits, at least
TOKEN_BYTES = 32  # of an API token


@dataclass(frozen=True)
class Secret:
    """A new password and what is stored of it. Only the hashes outlive the request."""

    username: str
    realm: str
    password: str = field(repr=False)
    ha1: str = field(repr=False)
    ha1_sha256: str = field(repr=False)


def new_secret(username: str, realm: str) -> Secret:
    """Generate a password of at least 128 bits and its two hashes."""
    password = str(genword(entropy=ENTROPY, chars=ALPHABET))
    return Secret(
        username=username,
        realm=realm,
        password=password,
        ha1=_ha1_md5(username, realm, password),
        ha1_sha256=_ha1_sha256(username, realm, password),
    )


def _ha1_md5(username: str, realm: str, password: str) -> str:
    """RFC 2617 section 3.2.2.2: MD5 of username ":" realm ":" password, 32 hex digits.

    An htdigest line is `user:realm:HA1`, hence the last field.
    """
    line = str(htdigest.hash(password, user=username, realm=realm))
    return line.rpartition(":")[2]


def _ha1_sha256(username: str, realm: str, password: str) -> str:
    """RFC 8760 section 2.3: the same with SHA-256, 64 hex digits."""
    return hashlib.sha256(f"{username}:{realm}:{password}".encode()).hexdigest()


def new_token() -> str:
    """Generate an API bearer token of 256 bits."""
    return f"pv_{secrets.token_urlsafe(TOKEN_BYTES)}"


def token_digest(token: str) -> bytes:
    """Return what is stored of a token. One round of SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).digest()
