"""Where sealed credentials files go: to a path (command line) or into the database (API)."""

import os
from pathlib import Path

from provisioner.bulk import import_store
from provisioner.db import Connection
from provisioner.errors import ProvisionerError

PIECE = 256 * 1024  # bytes of a sealed file in one row


class OutputExists(ProvisionerError):
    """The output file exists already; name another, or remove it."""

    code = "output-exists"


class NoSink:
    """For an import that makes no credentials: there is nothing to take."""

    def write(self, _: bytes, /) -> None:
        """Never happens."""

    def restart(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """Nothing was written."""


class FileSink:
    """A new file that only its owner can read; on disk before the import is committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise OutputExists(f"{path} exists already; name another file.") from None
        except OSError as error:
            raise ProvisionerError(f"{path}: {error.strerror}") from None
        self._file = os.fdopen(descriptor, "wb")

    def write(self, piece: bytes, /) -> None:
        """Append a piece."""
        self._file.write(piece)

    def restart(self) -> None:
        """Empty the file."""
        self._file.seek(0)
        self._file.truncate()

    def close(self) -> None:
        """Have the file on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def discard(self) -> None:
        """Remove the file: the import did not come about."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class DatabaseSink:
    """Rows of an import, in the transaction that applies it."""

    def __init__(self, connection: Connection, import_id: int) -> None:
        self._connection = connection
        self._import_id = import_id
        self.restart()

    def write(self, piece: bytes, /) -> None:
        """Keep a piece; they go out in larger ones."""
        self._rest += piece
        if len(self._rest) >= PIECE:
            self._flush()

    def restart(self) -> None:
        """Begin anew; the caller has rolled the rows back."""
        self._rest = bytearray()
        self._no = 0

    def close(self) -> None:
        """Write the last piece."""
        if self._rest:
            self._flush()

    def _flush(self) -> None:
        import_store.add_credentials(self._connection, self._import_id, self._no, bytes(self._rest))
        self._rest.clear()
        self._no += 1
