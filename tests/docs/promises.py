"""Compares what a page shows with what its commands printed, as loosely as a reader does.

`…` stands for anything. Of text, every line must have been printed, in this order, whatever blanks
are in it. Of JSON, one document that was printed must have every key and every element that is
shown; numbers and times may differ.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.docs.pages import Shown

ANYTHING = "…"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TERMINAL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # colours


def broken(shown: Shown, output: str) -> str | None:
    """Say which part of what is shown was not printed; None if all of it was."""
    output = TERMINAL.sub("", output)
    return (
        _broken_json(shown.text, output)
        if shown.language == "json"
        else _broken_text(shown.text.splitlines(), output.splitlines())
    )


def _broken_text(shown: list[str], printed: list[str]) -> str | None:
    rest = iter(printed)
    for line in filter(str.strip, shown):
        if not any(_same_text(line, other) for other in rest):
            return f"no line (any more) like: {line.strip()}"
    return None


def _same_text(shown: str, printed: str) -> bool:
    shown, printed = ("".join(text.split()) for text in (shown, printed))
    parts = (re.escape(part) for part in shown.split(ANYTHING))
    return re.fullmatch(".*".join(parts), printed) is not None


def _broken_json(shown: str, output: str) -> str | None:
    wanted = json.loads(shown)
    differences = [_difference(wanted, document, "") for document in _documents(output)]
    if None in differences:
        return None
    # What differs deepest is nearest to what is meant.
    return max(filter(None, differences), key=len, default="no JSON was printed")


def _documents(output: str) -> Iterator[Any]:
    """Find the JSON documents that start a line."""
    decoder = json.JSONDecoder()
    position = 0
    while start := re.compile(r"^[{\[]", re.MULTILINE).search(output, position):
        try:
            document, position = decoder.raw_decode(output, start.start())
            yield document
        except json.JSONDecodeError:
            position = start.end()


def _difference(shown: Any, printed: Any, where: str) -> str | None:
    """Name the first place in which what was printed is not what is shown."""
    if shown == ANYTHING:
        return None
    if isinstance(shown, dict) and isinstance(printed, dict):
        return _first(_member(name, value, printed, where) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(printed, list):
        elements = (_element(item, printed, where) for item in shown)
        return _first(elements) if shown or not printed else f"{where} is not empty"
    same = _same_text if isinstance(shown, str) and isinstance(printed, str) else _same_kind
    if same(shown, printed) or (_is_time(shown) and _is_time(printed)):
        return None
    return f"{where or '/'}: {printed!r} was printed, {shown!r} is shown"


def _member(name: str, value: Any, printed: dict[str, Any], where: str) -> str | None:
    if name not in printed:
        return f"{where}/{name} was not printed"
    return _difference(value, printed[name], f"{where}/{name}")


def _element(item: Any, printed: list[Any], where: str) -> str | None:
    found = [_difference(item, other, f"{where}/-") for other in printed]
    if None in found:
        return None
    return found[0] if found else f"{where} is empty, {item!r} is shown"


def _first(differences: Iterator[str | None]) -> str | None:
    return next((difference for difference in differences if difference), None)


def _same_kind(shown: Any, printed: Any) -> bool:
    if isinstance(shown, bool) or isinstance(printed, bool) or shown is None:
        return shown is printed
    numbers = isinstance(shown, int | float) and isinstance(printed, int | float)
    return numbers or shown == printed


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and TIME.fullmatch(value) is not None
