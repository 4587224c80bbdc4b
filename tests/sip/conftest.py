"""Devices and a carrier, and what a test may look at behind the system's back on this machine."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.calls.conftest import Device, MakeDevice
from tests.sip.clients import Transport
from tests.system import Line, Place, System, Trunk

Database = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def database(stack: Stack) -> Iterator[Database]:
    """The stack's database, as its superuser."""
    url = stack.database_admin_url
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def kamailio(stack: Stack) -> Iterator[KamailioNode]:
    """The node's own interface, for what an operator might do by hand."""
    node = KamailioNode(stack.rpc_url, stack.rpc_root_token)
    yield node
    node.close()


@pytest.fixture
def device(system: System) -> Iterator[MakeDevice]:
    """Make devices of accounts, on the internet unless told otherwise."""
    with ExitStack() as devices:

        def make(
            line: Line,
            *,
            place: Place | None = None,
            transport: Transport = "udp",
            registered: bool = True,
        ) -> Device:
            made = Device(system, line, place or system.internet, transport)
            devices.enter_context(made)
            if registered:
                assert made.register(line.credentials).status == 200
            return made

        yield make


@pytest.fixture(scope="session")
def trunk(system: System) -> Trunk:
    """The carrier's trunk that calls leave by."""
    return system.new_trunk()


@pytest.fixture
def carrier(system: System, trunk: Trunk) -> Iterator[Device]:
    """The carrier's server, which also makes calls."""
    with Device(system, None, trunk.place, trunk.transport, trunk.port) as server:
        yield server
