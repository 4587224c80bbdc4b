"""Calls as a Kamailio node decides and counts them: by its own role, through its own functions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from psycopg import conninfo

from provisioner import db
from provisioner.stack.passwords import load_passwords
from provisioner.stack.stack import Stack


@dataclass
class CallNode:
    """A node, by the name that its lease has."""

    connection: db.Connection
    name: str
    dialogs: Iterator[int]

    def place(self, account_id: int, called: str, *, emergency: bool = False) -> Any:
        """Decide a call of an account: the decision, with the call's id and status 0 to go on."""
        return self._place(account_id, "", called, emergency=emergency)

    def receive(self, called: str, caller: str = "+390687654321") -> Any:
        """Decide a call that comes from a trunk."""
        return self._place(0, caller, called)

    def _place(self, account_id: int, caller: str, called: str, *, emergency: bool = False) -> Any:
        query = "SELECT * FROM place_call(%s, %s, %s, %s, %s, %s, 1, %s, 'ab', 1)"
        dialled = called.removeprefix("+")
        parameters = (account_id, caller, called, dialled, emergency, self.name, next(self.dialogs))
        return self.connection.execute(query, parameters).fetchone()

    def answer(self, call: int) -> None:
        """Tell that a call was answered."""
        self.connection.execute("SELECT answer_calls(%s)", [[call]])

    def end(self, call: int) -> None:
        """Tell that a call has ended."""
        self.connection.execute("SELECT end_call(%s, 200)", [call])


@contextmanager
def call_node(stack: Stack, database_url: str, name: str = "node1/first") -> Iterator[CallNode]:
    """Connect a node to a database of the stack's cluster."""
    password = load_passwords(stack.directory.passwords).kamailio_db
    url = conninfo.make_conninfo(database_url, user="kamailio", password=password)
    with db.connect(url, autocommit=True) as connection:
        yield CallNode(connection, name, count(1))
