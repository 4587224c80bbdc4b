"""What a command prints: tables for people, JSON for scripts, both from the API's own views."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from provisioner.api.view import View
from provisioner.errors import DeletionRefused, ProvisionerError

WIDE = 10_000  # columns where there is no terminal to fit into


class Output:
    """Standard output and standard error, in the form that the command line asked for."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, line: object) -> None:
        """Print a line for people, at once: some wait. Scripts get their JSON only."""
        if not self.as_json:
            print(line, flush=True)  # noqa: T201 - a command's answer

    def data(self, value: Any) -> None:
        """Print JSON."""
        print(json.dumps(value, ensure_ascii=False))  # noqa: T201 - a command's answer

    def one(self, view: View, *, after: str = "") -> None:
        """Show one thing, and perhaps a sentence about it."""
        shown = view.shown()
        if self.as_json:
            self.data(shown)
            return
        table = _table()
        for name, value in _flat(shown):
            table.add_row(Text(name, style="bold"), Text(_cell(value)))
        _console().print(table)
        if after:
            self.say(after)

    def many(self, views: Sequence[View], columns: Sequence[str], *, more: bool) -> None:
        """Show a list; `more` says that it goes on."""
        shown = [view.shown() for view in views]
        if self.as_json:
            self.data({"items": shown, "more": more})
            return
        self.rows([{name: one[name] for name in columns} for one in shown], columns)
        if more:
            print("There are more: raise --limit, or export.", file=sys.stderr)  # noqa: T201 - a command's answer

    def rows(self, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """Show a table."""
        table = _table(show_header=True)
        for name in columns:
            table.add_column(Text(name))
        for row in rows:
            table.add_row(*(Text(_cell(row[name])) for name in columns))
        _console().print(table)

    def error(self, error: Exception) -> None:
        """Tell what went wrong, on standard error."""
        told = _told(error)
        if self.as_json:
            print(json.dumps({"error": told}, ensure_ascii=False), file=sys.stderr)  # noqa: T201 - a command's answer
            return
        print(f"provisioner: {told['detail']}", file=sys.stderr)  # noqa: T201 - its answer
        for reason in told.get("reasons", []):
            items = ", ".join(map(str, reason["items"]))
            print(f"  {reason['detail']} ({items})", file=sys.stderr)  # noqa: T201 - its answer

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[float], None]]:
        """Give a function that shows a share (0 to 1) as a bar, on a terminal only."""
        console = Console(stderr=True)
        if self.as_json or not console.is_terminal:
            yield lambda _: None
            return
        columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=1.0)
            yield lambda share: bar.update(task, completed=share)


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, ValidationError):
        faults = [
            {
                "field": "/".join(map(str, fault["loc"])),
                "detail": fault["msg"].removeprefix("Value error, "),
            }
            for fault in error.errors(include_url=False, include_context=False)
        ]
        detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in faults)
        return {"code": "invalid-input", "detail": detail, "errors": faults}
    if not isinstance(error, ProvisionerError):
        return {"code": "error", "detail": str(error) or type(error).__name__}
    told: dict[str, Any] = {"code": error.code, "detail": error.detail}
    if error.field:
        told["field"] = error.field
    if isinstance(error, DeletionRefused):
        told["reasons"] = error.reasons
    return told


def _table(*, show_header: bool = False) -> Table:
    return Table(box=None, show_header=show_header, header_style="bold", pad_edge=False)


def _console() -> Console:
    console = Console(highlight=False, emoji=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=WIDE)


def _flat(shown: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the fields of a thing and, in their places, those of the things in it."""
    for name, value in shown.items():
        if name == "convergence":
            yield "live", _live(value)
        elif name == "channels":
            yield name, f"{value['used']} of {value['limit']} in use"
        elif isinstance(value, dict):
            yield from value.items()
        else:
            yield name, value


def _live(convergence: dict[str, Any]) -> str:
    """Write on how many nodes something is so, and since when on all of them."""
    nodes = f"on {convergence['nodes_converged']} of {convergence['nodes_total']} nodes"
    if convergence["converged"]:
        return f"{nodes} since {convergence['since']}"
    return f"{nodes}; not yet on {', '.join(convergence['pending_nodes'])}"


def _cell(value: Any) -> str:
    """Write a JSON value for a person; what others have sent must not steer his terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "".join(one if one.isprintable() else "?" for one in str(value))
