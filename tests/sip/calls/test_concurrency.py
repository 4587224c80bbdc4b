"""The channel limit is exact, however many calls start at the same moment.

`ROUNDS` (environment; 200) says how often it is tried over each transport.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from provisioner.stack.stack import Stack
from tests.sip.calls.conftest import Device
from tests.sip.clients import Crowd, Registrar, Transport
from tests.system import eventually, native_system

pytestmark = pytest.mark.native  # a stack of its own

ROUNDS = int(os.environ.get("ROUNDS", "200"))
CALLERS = 50
LIMIT = 5


@pytest.fixture(scope="module")
def busy_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with eight worker processes for UDP and as many for TCP."""
    directory: Path = tmp_path_factory.mktemp("stack8")
    # The crowd is behind one address.
    environ = {"KAMAILIO_CHILDREN": "8", "KAMAILIO_REQUESTS_PER_SECOND": "0"}
    with Stack(directory, environ=environ, durable=False) as stack:
        yield stack


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_of_50_calls_at_once_exactly_5_pass(busy_stack: Stack, transport: Transport) -> None:
    system = native_system(busy_stack)
    line, callee = system.new_line(voice_channels=LIMIT), system.new_line(voice_channels=1000)
    registrar = Registrar(busy_stack.sip_address, busy_stack.sip_port, transport)
    place = system.internet
    with (
        psycopg.connect(busy_stack.database_admin_url, autocommit=True) as database,
        Device(system, callee, place, transport) as phone,
        Crowd([registrar], place.client, line.credentials, phone, size=CALLERS) as crowd,
    ):
        # How many calls a second are started is limited, too, and not what this is about.
        database.execute("UPDATE provisioner.projects SET calls_per_second = 1000")
        assert phone.register(callee.credentials).status == 200

        def in_use() -> int:
            used = database.execute("SELECT kamailio.channels_used(%s)", [line.id]).fetchone()
            assert used is not None
            return int(used[0])

        for number in range(ROUNDS):
            answers = Counter(crowd.round(callee.number))
            assert answers == {200: LIMIT, 403: CALLERS - LIMIT}, f"round {number}"
            assert in_use() == LIMIT
            crowd.hang_up()
            eventually(lambda: in_use() == 0)
