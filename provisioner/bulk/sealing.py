"""New passwords leave as a file that only its recipient can read: the age format, X25519."""

import io
from collections.abc import Callable, Iterator
from typing import Protocol

import pyrage

from provisioner.errors import InvalidInput


class Sink(Protocol):
    """Where a sealed file goes."""

    def write(self, piece: bytes, /) -> object:
        """Take the next piece."""

    def restart(self) -> None:
        """Forget what was written: the file begins anew."""

    def close(self) -> None:
        """Take note that the file is whole."""


def check_recipient(recipient: str) -> str:
    """Return an age public key that is one.

    Raises:
        InvalidInput: it is not.
    """
    try:
        pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError:
        raise InvalidInput("recipient", "must be an age public key, like age1…") from None
    return recipient


def seal(recipient: str, pieces: Iterator[bytes], write: Callable[[bytes], object]) -> None:
    """Encrypt a file piece by piece; no more than a few pieces are in memory at a time."""
    source, target = _Source(pieces), _Target(write)
    key = pyrage.x25519.Recipient.from_str(recipient)
    try:
        pyrage.encrypt_io(source, target, [key])
    except pyrage.EncryptError:
        error = source.error or target.error
        if error is None:
            raise
        raise error from None


class _Source(io.RawIOBase):
    """What pyrage reads from. It turns exceptions into its own, so the first one is kept."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            while not self._rest:
                self._rest = next(self._pieces)
        except StopIteration:
            return b""
        except Exception as error:
            self.error = error
            raise
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


class _Target(io.RawIOBase):
    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write
        self.error: Exception | None = None

    def write(self, piece: bytes, /) -> int:  # type: ignore[override] # pyrage writes bytes only
        try:
            self._write(piece)
        except Exception as error:
            self.error = error
            raise
        return len(piece)
