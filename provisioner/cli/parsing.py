"""Builds the parser: a command is declared beside what it does."""

import argparse
from typing import Any

from provisioner.cli.session import Command

LIMIT = 100  # rows of a list


class Commands:
    """The commands at one level: `provisioner …`, or `provisioner account …`."""

    def __init__(self, parser: argparse.ArgumentParser, *, required: bool = True) -> None:
        """Take the parser; not `required` where it is a command itself (`provisioner bans`)."""
        self._commands = parser.add_subparsers(required=required, metavar="COMMAND")

    def group(self, name: str, text: str) -> "Commands":
        """Add a level."""
        return Commands(self._commands.add_parser(name, help=text, description=text))

    def add(
        self, name: str, command: Command, text: str, *, json: bool = True
    ) -> argparse.ArgumentParser:
        """Add a command; with `json` it can print JSON."""
        parser = self._commands.add_parser(name, help=text, description=text)
        parser.set_defaults(command=command, json=False)
        if json:
            parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
        return parser


def add_account(parser: argparse.ArgumentParser) -> None:
    """Let a command name an account."""
    parser.add_argument("account", metavar="ACCOUNT", help="its id, or its main number like +39…")


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Let a list be long."""
    parser.add_argument(
        "--limit", type=positive, default=LIMIT, metavar="N", help=f"at most N rows ({LIMIT})"
    )


def add_project(parser: argparse.ArgumentParser, text: str) -> None:
    """Let a command name a project."""
    parser.add_argument("--project", type=positive, metavar="ID", help=text)


def positive(text: str) -> int:
    """Read a number above 0, for argparse.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options that were given, to be checked by the API's own rules."""
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
