"""Answers that are files: sent piece by piece, as they are read from the database."""

from collections.abc import Callable, Generator, Iterator

from flask import Response

from provisioner import db
from provisioner.api import streams
from provisioner.api.context import services
from provisioner.db import Connection

Pieces = Callable[[Connection], Iterator[bytes]]


def streamed(make: Pieces, mimetype: str) -> Response:
    """Answer with what `make` reads; its transaction is committed after the last piece.

    What goes wrong before the first piece is answered as a problem. Later the answer breaks off
    without its end, which the client notices.
    """
    pieces = _pieces(make, services().settings.database_url)
    first = next(pieces, b"")
    response = Response(_continued(first, pieces), mimetype=mimetype)
    response.call_on_close(pieces.close)
    return response


def _pieces(make: Pieces, url: str) -> Generator[bytes, None, None]:
    """Read in a session of its own: the request's transaction ends before its answer is sent."""
    with (
        streams.one(),
        db.translated_errors(),
        db.connect(url, name="provisioner download") as connection,
    ):
        yield from make(connection)


def _continued(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
