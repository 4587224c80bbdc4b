"""The stack's own passwords: made once, kept in one file that only its owner reads."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path


def _random() -> str:
    return secrets.token_hex(32)  # 256 bits, in characters that need no escape in a URL


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


@dataclass(frozen=True)
class Passwords:
    """What the stack's processes prove to each other. Nothing of it shows in `repr`."""

    postgres: str = field(default_factory=_random, repr=False)
    provisioner_db: str = field(default_factory=_random, repr=False)
    kamailio_db: str = field(default_factory=_random, repr=False)
    rpc_token: str = field(default_factory=_random, repr=False)
    nonce_secret: str = field(default_factory=_random, repr=False)
    secrets_key: str = field(default_factory=_fernet_key, repr=False)
    replication_db: str = field(default_factory=_random, repr=False)


def load_passwords(path: Path) -> Passwords:
    """Read the passwords, after making those that are missing (and the file, mode 0600).

    A directory that an earlier version made lacks those that have come since.
    """
    stored = json.loads(path.read_text(encoding="ascii")) if path.exists() else {}
    names = [known.name for known in fields(Passwords)]
    passwords = Passwords(**{name: stored[name] for name in names if name in stored})
    if any(name not in stored for name in names):
        _write(path, passwords)
    return passwords


def _write(path: Path, passwords: Passwords) -> None:
    """Write the file whole or not at all: half a file would lock us out of our own cluster."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor, no path
        json.dump(asdict(passwords), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
