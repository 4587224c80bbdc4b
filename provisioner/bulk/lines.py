"""Lines of a byte stream, of bounded length, so that no file can fill the memory."""

from collections.abc import Iterator
from typing import Protocol

LINE_MAX = 64 * 1024  # bytes of a line, without its end
BOM = b"\xef\xbb\xbf"  # UTF-8's, which spreadsheets write


class ByteLines(Protocol):
    """What a file, a socket or a database can be read as."""

    def readline(self, size: int = ..., /) -> bytes:
        """Return a line with its end, at most `size` bytes of it; b"" after the last."""


def numbered_lines(stream: ByteLines) -> Iterator[tuple[int, bytes | None]]:
    """Give each line its number from 1, without its end; None where it is too long."""
    number = 0
    while part := stream.readline(LINE_MAX + 2):
        number += 1
        line = part.rstrip(b"\r\n")
        if len(line) > LINE_MAX:
            while part and not part.endswith(b"\n"):
                part = stream.readline(LINE_MAX)
            yield number, None
        else:
            yield number, line.removeprefix(BOM) if number == 1 else line
