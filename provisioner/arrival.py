"""How much of a request has come in: whether a thread that reads it would have to wait for more."""

import re

HEAD_MAX = 64 * 1024  # bytes of the request line and all headers
WHOLE_MAX = 1024 * 1024  # bytes of a body that is waited for; a longer one is read by its thread
SIZE_LINE_MAX = 100  # bytes of a line that says how long a chunk is

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")


class Arrival:
    """The bytes of one request (RFC 9112), as they come.

    This decides only when the request is given to a thread. What it means decides the server's own
    parser, which reads the same bytes again; so whatever is wrong about them counts as complete.
    """

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray()
        self._end: int | None = None  # where the request ends, once that is known
        self._body = 0  # where the body begins; 0: the head has not ended
        self._chunk = 0  # where the next chunk of a chunked body begins
        self._chunked = False
        self._expects = False
        self.add(data)

    def __len__(self) -> int:
        return len(self._data)

    def add(self, piece: bytes) -> None:
        """Take what has come."""
        scanned = max(0, len(self._data) - 3)
        self._data += piece
        if not self._body:
            # Blank lines before a request count for nothing (section 2.2).
            self._data = self._data.lstrip(b"\r\n")
            self._find_head(scanned)
        if self._chunked and self._end is None:
            self._find_chunks()

    @property
    def too_long(self) -> bool:
        """True where the head does not end where it should have."""
        return (self._body or len(self._data)) > HEAD_MAX

    @property
    def complete(self) -> bool:
        """True where a thread can take over: all is there, or the body is a long one."""
        if not self._body:
            return False
        if self._end is None:
            return len(self._data) - self._body > WHOLE_MAX
        return len(self._data) >= self._end or self._end - self._body > WHOLE_MAX

    @property
    def hesitates(self) -> bool:
        """True where the client waits for a word before it sends the body (RFC 9110 10.1.1)."""
        return self._expects and not self.complete

    @property
    def request(self) -> bytes:
        """What has come of this request."""
        return bytes(self._data[: self._end])

    @property
    def surplus(self) -> bool:
        """True where more than this request has come."""
        return self._end is not None and len(self._data) > self._end

    def _find_head(self, start: int) -> None:
        found = self._data.find(b"\r\n\r\n", start)
        if found < 0:
            return
        self._body = found + 4
        head = bytes(self._data[: found + 2])
        length = _LENGTH.search(head)
        self._chunked = _CHUNKED.search(head) is not None
        self._expects = _EXPECTS.search(head) is not None
        if self._chunked:
            self._chunk = self._body
        else:
            self._end = self._body + (int(length[1]) if length else 0)

    def _find_chunks(self) -> None:
        """Go from chunk to chunk (section 7.1) as far as they have come."""
        while line := _CHUNK.match(self._data, self._chunk):
            size = int(line[1], 16)
            if not size:
                self._find_trailer(line.end() - 2)
                return
            self._chunk = line.end() + size + 2
        if len(self._data) - self._chunk >= SIZE_LINE_MAX or self._is_no_size():
            self._end = len(self._data)

    def _is_no_size(self) -> bool:
        rest = bytes(self._data[self._chunk : self._chunk + SIZE_LINE_MAX])
        return b"\n" in rest

    def _find_trailer(self, start: int) -> None:
        found = self._data.find(b"\r\n\r\n", start)
        if found >= 0:
            self._end = found + 4
        elif len(self._data) - start > HEAD_MAX:
            self._end = len(self._data)
