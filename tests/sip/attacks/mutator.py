"""Messages that are wrong in ways nobody thought of; the same ones again for the same seed."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from tests.sip.attacks.corpus import messages

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANGES = [0, 1, 1, 1, 2, 4]  # of one message
MAX_SIZE = 8000  # bytes

# What parsers have stumbled over.
_TOKENS = [
    b"\0", b"\r\n", b"\n", b"\r", b"\r\n ", b"\t", b"\xff", b"\xc0\x80", b"\xe2\x98\x8e",
    b"%00", b"%", b"%s%n", b'"', b"\\", b"<", b">", b";", b",", b":", b"=", b"@", b"?", b"&", b"[",
    b"]", b"*", b"-1", b"0", b"255", b"256", b"65536", b"2147483647", b"2147483648", b"4294967296",
    b"99999999999999999999", b"sip:", b"sips:", b"tel:", b";lr", b";tag=", b";branch=", b"SIP/2.0",
    b"INVITE", b"\r\n\r\n", b";" * 100, b"," * 100, b"<" * 60, b"A" * 300, b"a=" * 700,
    b" " * 500, b"\r\n X" * 60, b"(" * 80,
]  # fmt: skip
_NUMBER = re.compile(rb"\d+")


class Mutator:
    """`words` are what the corpus leaves open, but for SERIAL."""

    def __init__(self, seed: int, words: Mapping[str, str]) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it has to repeat itself
        self._seed = seed
        self._corpus = [_filled(message, words) for message in messages()]
        self._changes = [
            self._flip, self._overwrite, self._insert, self._delete, self._repeat, self._cut,
            self._splice, self._drop_line, self._repeat_line, self._swap_lines, self._number,
        ]  # fmt: skip
        self.made = 0

    def message(self) -> bytes:
        """The next one."""
        made = self._unchanged()
        for _ in range(self._random.choice(CHANGES)):
            made = self._random.choice(self._changes)(made)
        return made[:MAX_SIZE]

    def _unchanged(self) -> bytes:
        """The next one as it would be without mistakes."""
        self.made += 1
        serial = b"%x-%x" % (self._seed, self.made)
        return self._random.choice(self._corpus).replace(b"SERIAL", serial)

    def changed(self, message: bytes) -> bytes:
        """A message of somebody else's, with one change."""
        return self._random.choice(self._changes)(message)[:MAX_SIZE]

    def choose(self, *options: str) -> str:
        """One of these."""
        return self._random.choice(options)

    def _place(self, message: bytes) -> int:
        return self._random.randint(0, len(message))

    def _piece(self, message: bytes, longest: int) -> tuple[int, int]:
        start = self._place(message)
        return start, start + self._random.randint(1, longest)

    def _flip(self, message: bytes) -> bytes:
        changed = bytearray(message)
        if changed:
            changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _overwrite(self, message: bytes) -> bytes:
        start, end = self._piece(message, 8)
        return message[:start] + self._random.randbytes(end - start) + message[end:]

    def _insert(self, message: bytes) -> bytes:
        place = self._place(message)
        return message[:place] + self._random.choice(_TOKENS) + message[place:]

    def _delete(self, message: bytes) -> bytes:
        start, end = self._piece(message, 40)
        return message[:start] + message[end:]

    def _repeat(self, message: bytes) -> bytes:
        start, end = self._piece(message, 40)
        times = self._random.choice([2, 3, 10, 50])
        return message[:start] + message[start:end] * times + message[end:]

    def _cut(self, message: bytes) -> bytes:
        return message[: self._place(message)]

    def _splice(self, message: bytes) -> bytes:
        other = self._random.choice(self._corpus)
        return message[: self._place(message)] + other[self._place(other) :]

    def _lines(self, message: bytes) -> tuple[list[bytes], int]:
        lines = message.split(b"\r\n")
        return lines, self._random.randrange(len(lines))

    def _drop_line(self, message: bytes) -> bytes:
        lines, chosen = self._lines(message)
        del lines[chosen]
        return b"\r\n".join(lines)

    def _repeat_line(self, message: bytes) -> bytes:
        lines, chosen = self._lines(message)
        lines[chosen:chosen] = [lines[chosen]] * self._random.choice([1, 2, 30])
        return b"\r\n".join(lines)

    def _swap_lines(self, message: bytes) -> bytes:
        lines, one = self._lines(message)
        other = self._random.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        return b"\r\n".join(lines)

    def _number(self, message: bytes) -> bytes:
        numbers = list(_NUMBER.finditer(message))
        if not numbers:
            return message
        found = self._random.choice(numbers)
        value = self._random.choice([b"0", b"-1", b"1e9", b"4294967295", b"18446744073709551616"])
        return message[: found.start()] + value + message[found.end() :]


def _filled(message: bytes, words: Mapping[str, str]) -> bytes:
    for word, value in words.items():
        message = message.replace(word.encode(), value.encode())
    return message
