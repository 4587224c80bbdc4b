"""SIP messages as text: just enough to read what a client received."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_START = re.compile(r"^(?:SIP/2\.0 \d{3}\b[^\n]*|[A-Z]+ \S+ SIP/2\.0)\s*$", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_SENT_BY = re.compile(r"^SIP/2\.0/\w+\s+(\[[^\]]+\]|[^\s:;]+)")
_VIA_PARAMETER = re.compile(r";\s*(received|rport)=([^;,\s]+)")
_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
}


@dataclass(frozen=True)
class Message:
    """One SIP message: its start line, header fields in order, and body."""

    start_line: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    @classmethod
    def parse(cls, text: str) -> Message:
        """Read a message; raises `ValueError` if `text` does not start with a SIP start line."""
        if _START.match(text) is None:
            raise ValueError(f"not a SIP message: {text[:60]!r}")
        head, *rest = _BLANK_LINE.split(text.replace("\r\n", "\n"), maxsplit=1)
        lines = head.split("\n")
        pairs = (line.partition(":") for line in lines[1:] if ":" in line)
        headers = tuple((name.strip(), value.strip()) for name, _, value in pairs)
        return cls(lines[0].strip(), headers, rest[0] if rest else "")

    @property
    def status(self) -> int:
        """The status code of a response, 0 for a request."""
        return int(self.start_line.split()[1]) if self.is_response else 0

    @property
    def reason(self) -> str:
        """The reason phrase of a response, empty for a request."""
        return self.start_line.partition(" ")[2].partition(" ")[2] if self.is_response else ""

    @property
    def is_response(self) -> bool:
        """Whether this is a response and not a request."""
        return self.start_line.startswith("SIP/2.0 ")

    @property
    def cseq(self) -> tuple[int, str]:
        """The sequence number and method of CSeq; (0, "") if it is missing."""
        number, _, method = (self.header("CSeq") or "").partition(" ")
        return (int(number), method.strip()) if number.isdigit() else (0, "")

    @property
    def seen_from(self) -> tuple[str, int] | None:
        """Address and port that the request came from, by a response's top Via (RFC 3581)."""
        found = _SENT_BY.search(self.header("Via") or "")
        parameters = dict(_VIA_PARAMETER.findall(self.header("Via") or ""))
        if found is None or "rport" not in parameters:
            return None
        return parameters.get("received") or found.group(1), int(parameters["rport"])

    def header(self, name: str) -> str | None:
        """The first value of a header field (compact names are known), or None."""
        values = self.all(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a header field, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if _full_name(key) == wanted]


def _full_name(name: str) -> str:
    return _COMPACT.get(name.lower(), name.lower())


def take_message(data: bytes) -> tuple[Message, bytes] | None:
    """The first message of a stream and the rest of it; None if it has yet to come to its end."""
    head, blank, rest = data.lstrip(b"\r\n\0").partition(b"\r\n\r\n")
    if not blank:
        return None
    message = Message.parse(head.decode(errors="replace"))
    length = int(message.header("Content-Length") or 0)
    if len(rest) < length:
        return None
    body = rest[:length].decode(errors="replace")
    return Message(message.start_line, message.headers, body), rest[length:]


def messages_in(log: str) -> list[Message]:
    """Every SIP message in a client's log, in the order of appearance.

    One whose header has not come to its end, while the client is still writing, is left out.
    """
    text = log.replace("\r\n", "\n")
    starts = [match.start() for match in _START.finditer(text)]
    parts = [text[start:end] for start, end in pairwise([*starts, len(text)])]
    return [Message.parse(part) for part in parts if _BLANK_LINE.search(part)]


def final_answer(log: str, method: str = "REGISTER") -> Message | None:
    """The final response to the last `method` request in the log, None if there is none.

    Found by CSeq, not by place: some clients print their error before the exchange. A
    challenge whose answer was never answered is no final response.
    """
    messages = [message for message in messages_in(log) if message.cseq[1] == method]
    last = max((message.cseq[0] for message in messages), default=0)
    for message in messages:
        if message.status >= 200 and message.cseq[0] == last:
            return message
    return None
