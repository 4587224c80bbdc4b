"""Two nodes read from one replica: each is told for itself, and none waits for a slow one."""

import psycopg
import pytest

from tests.sip.clients import Wire
from tests.sip.cluster.conftest import Cluster, ClusterNode
from tests.system import Line, eventually

pytestmark = pytest.mark.native  # another node


def register(node: ClusterNode, line: Line) -> int:
    place = node.system.internet
    with Wire(place.registrar, place.client) as wire:
        return wire.register(line.credentials).status


def states(cluster: Cluster) -> set[str | None]:
    nodes = cluster.system.api.get("/nodes").expect(200)["items"]
    return {node["replica"] and node["replica"]["state"] for node in nodes}


def test_neither_node_lets_in_whom_the_replica_still_shows_as_enabled(cluster: Cluster) -> None:
    eventually(lambda: states(cluster) == {"used"}, within=20)
    line = cluster.system.new_line()
    assert [register(node, line) for node in cluster.nodes] == [200, 200]
    url = cluster.stack.replica_admin_url
    with psycopg.connect(url, autocommit=True) as replica:
        replica.execute("SELECT pg_wal_replay_pause()")
        try:
            assert line.disable()["convergence"]["nodes_converged"] == 2
            assert [register(node, line) for node in cluster.nodes] == [403, 403]
            eventually(lambda: states(cluster) == {"behind"})
            line.enable()
            assert [register(node, line) for node in cluster.nodes] == [200, 200]
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")
    eventually(lambda: states(cluster) == {"used"})
