"""The channel limit is exact over all nodes, and a node that dies keeps no channel."""

from collections import Counter

import pytest

from tests.figures import Figures
from tests.sip.calls.conftest import Device, talk
from tests.sip.clients import Crowd
from tests.sip.cluster.conftest import Cluster, Database, MakePhone
from tests.system import Line, eventually

pytestmark = pytest.mark.native

CALLERS = 50
LIMIT = 5
LEASE = 15.0  # seconds for which the calls of a node that is silent count


def in_use(records: Database, line: Line) -> int:
    row = records.execute("SELECT kamailio.channels_used(%s) AS used", [line.id]).fetchone()
    assert row is not None
    return int(row["used"])


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=pytest.mark.attack)])
def test_of_50_calls_at_once_over_both_nodes_exactly_5_pass(
    cluster: Cluster, phone: MakePhone, records: Database, figures: Figures, rounds: int
) -> None:
    line = cluster.system.new_line(voice_channels=LIMIT)
    callee = cluster.system.new_line(voice_channels=1000)
    # How many calls a second are started is limited, too, and not what this is about.
    records.execute("UPDATE provisioner.projects SET calls_per_second = 1000")
    answering = phone(cluster.a, callee)
    eventually(lambda: cluster.b.knows(callee))
    place = cluster.system.internet
    registrars = [node.system.internet.registrar for node in cluster.nodes]
    with Crowd(registrars, place.client, line.credentials, answering, size=CALLERS) as crowd:
        for number in range(rounds):
            answers = Counter(crowd.round(callee.number))
            assert answers == {200: LIMIT, 403: CALLERS - LIMIT}, f"round {number}"
            assert in_use(records, line) == LIMIT
            crowd.hang_up()
            eventually(lambda: in_use(records, line) == 0)
    figures("rounds of 50 calls over two nodes, of which exactly 5 passed", rounds)


def refused(caller: Device, callee: Line) -> bool:
    return caller.call(callee.number).outcome()[0] in (403, 486)


@pytest.mark.chaos  # takes as long as a lease
def test_a_node_that_dies_frees_its_channels(
    healthy: Cluster, phone: MakePhone, records: Database
) -> None:
    line, callee = (healthy.system.new_line(voice_channels=1) for _ in range(2))
    caller, answering = phone(healthy.a, line), phone(healthy.a, callee)
    other = phone(healthy.b, line)
    eventually(lambda: healthy.b.knows(callee))
    talk(caller.call(callee.number), answering.incoming())
    assert refused(other, callee)
    healthy.a.process.kill()
    answering.turn_to(healthy.b.system.internet.registrar)
    assert refused(other, callee)
    eventually(lambda: in_use(records, line) == 0, within=LEASE + 5)
    talk(other.call(callee.number), answering.incoming())
