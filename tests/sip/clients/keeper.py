"""SIPp as many phones that stay registered with one registrar for as long as it runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .process import Program, free_port
from .sipp import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .model import Credentials, Registrar


class Keeper:
    """One SIPp whose phones register every `interval` seconds, for `expires` seconds.

    All of them are behind one port of `source`. They stay with their registrar when it is away.
    """

    def __init__(
        self,
        registrar: Registrar,
        phones: Sequence[Credentials],
        source: str,
        *,
        interval: float,
        expires: int,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="keep-")
        fields = Path(self._folder.name) / "fields.csv"
        rows = [
            f"{one.username};{one.realm};"
            f"[authentication username={one.username} password={one.password}];{expires};"
            for one in phones
        ]
        fields.touch(mode=0o600)
        fields.write_text("\n".join(["SEQUENTIAL", *rows, ""]))
        number = len(phones)
        self._program = Program(
            [
                *("sipp", registrar.address, "-sf", str(SCENARIOS / "keep.xml")),
                *("-inf", str(fields), "-i", source, "-p", str(free_port(source)), "-t", "u1"),
                *("-m", str(number), "-l", str(number), "-d", f"{interval * 1000:.0f}"),
                # They begin spread over the interval.
                *("-r", str(max(1, round(number / interval))), "-nostdin"),
                *("-default_behaviors", "none"),
            ],
            cwd=Path(self._folder.name),
        )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._program.output()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._program.kill()
        self._folder.cleanup()
