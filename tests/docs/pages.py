"""Markdown pages as their reader uses them: shell blocks, and what is said to come of them.

A block that starts with ```sh is pasted into a shell. A block of ```json or ```text right after it
shows what it prints, see `promises`. An HTML comment right before it may say that it is special:

    <!-- not run: REASON -->   the block cannot be run here, and why
    <!-- refused: 404 -->      its last command is an API call that is answered with this status

A block that is nothing but `make run`, with or without variables, starts the system.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"```(\w*)")
REMARK = re.compile(r"<!-- (not run|refused)(?:: (.+))? -->")
START = re.compile(r"make run((?: [A-Z_]+=\S*)*)")
OTHER_SHELLS = {"bash", "console", "shell", "zsh"}


class PageError(Exception):
    """A page breaks a rule of its own form; says where and which."""


@dataclass(frozen=True)
class Shown:
    """An example of output: `language` is json or text."""

    language: str
    text: str


@dataclass(frozen=True)
class Block:
    """A shell block; `line` is that of its fence."""

    page: str
    line: int
    text: str
    not_run: str = ""
    refused: int | None = None
    shown: list[Shown] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def start(self) -> dict[str, str] | None:
        """The variables with which this block starts the system; None if it does something else."""
        made = START.fullmatch(self.text.strip())
        return dict(pair.split("=", 1) for pair in made[1].split()) if made else None


@dataclass(frozen=True)
class Page:
    """A page's shell blocks, in order."""

    name: str
    blocks: Sequence[Block]

    @classmethod
    def read(cls, path: Path, name: str) -> "Page":
        """Read a Markdown file.

        Raises:
            PageError: a block is in a form that would not be run and does not say why.
        """
        return cls(name, list(_blocks(name, path.read_text(encoding="utf-8").splitlines())))

    @property
    def to_run(self) -> list[Block]:
        """What a reader would paste into his second terminal."""
        return [block for block in self.blocks if not block.not_run and block.start is None]

    @property
    def settings(self) -> dict[str, str]:
        """The variables that the page gives to `make run`."""
        return {name: value for block in self.blocks for name, value in (block.start or {}).items()}


def pages(root: Path) -> list[Page]:
    """Read the README and all of `docs/` that have shell blocks."""
    paths = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    found = [Page.read(path, str(path.relative_to(root))) for path in paths]
    return [page for page in found if page.blocks]


def _blocks(page: str, lines: Sequence[str]) -> Iterator[Block]:
    """Find the shell blocks; `before` is the last line that was not blank."""
    before, latest = "", None
    numbered = iter(enumerate(lines, start=1))
    for number, line in numbered:
        fence = FENCE.fullmatch(line.strip())
        if fence is None:
            before, latest = (line, None) if line.strip() else (before, latest)
            continue
        indent = len(line) - len(line.lstrip())
        text = "".join(f"{inner[indent:]}\n" for inner in _fenced(numbered))
        if fence[1] == "sh":
            latest = _block(page, number, text, before)
            yield latest
        elif fence[1] in OTHER_SHELLS:
            raise PageError(f"{page}:{number}: a shell block is called sh, not {fence[1]}")
        elif fence[1] in {"json", "text"} and latest:
            latest.shown.append(Shown(fence[1], text))
        before = ""


def _fenced(numbered: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in numbered:
        if line.strip() == "```":
            return
        yield line


def _block(page: str, number: int, text: str, before: str) -> Block:
    remark = REMARK.fullmatch(before.strip())
    if remark is None:
        return Block(page, number, text)
    kind, value = remark[1], remark[2] or ""
    if kind == "refused" and value.isdigit():
        return Block(page, number, text, refused=int(value))
    if kind == "not run" and value:
        return Block(page, number, text, not_run=value)
    raise PageError(f"{page}:{number}: '{before.strip()}' does not say why, or which status")
