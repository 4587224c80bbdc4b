"""What a command works with: the settings, its options, who runs it, and a transaction."""

import argparse
import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from provisioner import accounts, db, listings
from provisioner.access import Actor, Via, system_actor
from provisioner.api.view import View
from provisioner.cli.exits import Exit
from provisioner.cli.output import Output
from provisioner.db import Connection
from provisioner.errors import NotFound
from provisioner.listing import Listing, Order, containing
from provisioner.model import Account, is_e164
from provisioner.settings import Settings


@dataclass
class Session:
    """One run of a command."""

    settings: Settings
    options: argparse.Namespace
    output: Output
    actor: Actor = field(default_factory=lambda: system_actor(Via.CLI, user_name()))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose work is committed at the end, or rolled back on an error.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached; nothing was changed.
        """
        with (
            db.translated_errors(),
            db.connect(self.settings.database_url, name="provisioner cli") as connection,
        ):
            yield connection

    def account(self, connection: Connection) -> Account:
        """Find the account that the command line names, by id or by main number.

        Raises:
            NotFound: there is no such account.
        """
        return find_account(connection, self.actor, self.options.account)

    def list(
        self,
        listing: Listing,
        show: Callable[[Mapping[str, Any]], View],
        columns: Sequence[str],
        **filters: Any,
    ) -> None:
        """Show a list's first rows."""
        if filters.get("q"):
            filters["q"] = containing(filters["q"])
        limit = self.options.limit
        with self.transaction() as connection:
            order = Order(listing.key)
            found = listing.page(connection, self.actor, filters, order, None, limit + 1)
        views = [show(row) for row in found[:limit]]
        self.output.many(views, columns, more=len(found) > limit)


Command = Callable[[Session], Exit]


def find_account(connection: Connection, actor: Actor, name: str) -> Account:
    """Find an account by its id or its main number.

    Raises:
        NotFound: there is no such account.
    """
    if name.isascii() and name.isdigit():
        return accounts.read(connection, actor, min(int(name), 2**63 - 1))
    if is_e164(name):
        order = Order("id")
        rows = listings.ACCOUNTS.page(connection, actor, {"number": name}, order, None, 1)
        if rows and rows[0]["main_number"] == name:
            return Account.from_row(rows[0])
    raise NotFound("There is no such account.")


def user_name() -> str:
    """Return the name of the person who runs the command, also behind sudo."""
    try:
        return os.getlogin()
    except OSError:  # no terminal
        pass
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
