"""The worker is killed at each message of its conversations: nothing that it has to do is lost."""

import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle

import pytest

from provisioner.kamailio import KamailioNode
from tests.figures import Figures
from tests.sip.conftest import Database
from tests.sip.faults.changing import Population, Subject
from tests.sip.faults.workshop import RPC, Workshop
from tests.system import System, eventually

pytestmark = pytest.mark.native

NODE = "provisioner node node1"
# The worker's sessions whose statements change what Kamailio does, and its commands to the node.
CONVERSATIONS = [
    NODE,
    RPC,
    "provisioner comparison",
    "provisioner credentials",
    "provisioner worker",
]
SEED = 6
PAUSE = 0.3  # seconds between two changes while a worker runs

CATCH_UP = 30.0  # seconds that a worker may take for what all before it have left
CHANGES_BEFORE = 4  # changes that wait for each worker

# Without the heartbeats of node and worker, and what Kamailio itself writes.
TABLES = """
SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
 WHERE schemaname IN ('provisioner', 'kamailio')
   AND tablename NOT IN ('nodes', 'node_leases', 'location', 'location_attrs', 'watch')
"""


@pytest.mark.parametrize(
    ("changes", "stride"), [(40, 13), pytest.param(1000, 1, marks=pytest.mark.chaos)]
)
def test_a_worker_that_is_killed_anywhere_loses_nothing(
    system: System,
    workshop: Workshop,
    database: Database,
    kamailio: KamailioNode,
    figures: Figures,
    changes: int,
    stride: int,
) -> None:
    """Work that was lost would be found by the comparison, which writes down what it repairs."""
    population = Population(system, SEED)
    kills = kill_everywhere(system, workshop, population, changes, stride)
    with workshop.worker():
        eventually(lambda: converged(system), within=CATCH_UP)
        stale = [one for one in population.everybody if one.has_stale_binding(kamailio)]
        compared_again(system)
        lost = repairs(database, population.everybody)
        eventually(lambda: not pending(database))
        before = versions(database)
        compared_again(system)
        written = {name for name, rows in versions(database).items() if rows != before[name]}
    wrong = [one for one in population.everybody if one.register() != one.status]
    figures("changes while workers were killed", population.changes)
    figures("workers killed, each at another message", dict(kills))
    figures("changes lost", len(wrong))
    figures("stale bindings, pieces of work lost", (len(stale), lost))
    figures("tables that the second comparison wrote to", len(written))
    assert population.disobeyed == []
    assert (stale, lost, wrong, written) == ([], 0, [], set())


def test_work_that_a_worker_loses_shows(
    system: System, workshop: Workshop, database: Database, kamailio: KamailioNode
) -> None:
    """The control: as if a worker had marked its work as done before it did it."""
    subject = Subject.new(system)
    with workshop.worker():
        eventually(lambda: converged(system) and not pending(database))
    assert subject.register() == 200
    subject.disable()
    database.execute("DELETE FROM provisioner.pending_kicks")
    assert subject.has_stale_binding(kamailio)
    with workshop.worker():
        eventually(lambda: not subject.has_stale_binding(kamailio))
    assert repairs(database, [subject]) == 1


def kill_everywhere(
    system: System, workshop: Workshop, population: Population, changes: int, stride: int
) -> Counter[str]:
    """Make changes while one worker after the other is killed, each at another message, until so
    many changes are made and each `stride`th message has had its turn; how many died in which
    conversation.
    """
    targets = messages(system, workshop, population)[::stride]
    kills: Counter[str] = Counter()
    for target in cycle(targets):
        if kills.total() >= len(targets) and population.changes >= changes:
            return kills
        for _ in range(CHANGES_BEFORE):
            population.change()
        with workshop.worker(target) as worker:
            while not ended(worker, within=PAUSE):
                population.change()
        kills[target[0]] += 1
    raise AssertionError("there are no messages")


def messages(system: System, workshop: Workshop, population: Population) -> list[tuple[str, int]]:
    """Number the messages of each conversation, from a worker's start until it has done a change
    and compared everything.
    """
    population.change()
    with workshop.worker():
        eventually(lambda: converged(system), within=CATCH_UP)
        compared_again(system)
        counts = dict(workshop.killer.counts)
    return [(name, number) for name in CONVERSATIONS for number in range(1, counts[name] + 1)]


def ended(worker: subprocess.Popen[bytes], *, within: float) -> bool:
    """Wait some seconds for a process to end, and say whether it has."""
    with suppress(subprocess.TimeoutExpired):
        worker.wait(within)
    return worker.returncode is not None


def converged(system: System) -> bool:
    (node,) = system.api.get("/nodes").expect(200)["items"]
    return bool(node["converged"])


def compared_again(system: System) -> None:
    """Wait until the node has been compared once more."""
    seen = compared_at(system)
    eventually(lambda: compared_at(system) > seen, within=CATCH_UP)


def compared_at(system: System) -> str:
    (node,) = system.api.get("/nodes").expect(200)["items"]
    return str(node["last_compared_at"] or "")


def repairs(database: Database, subjects: Sequence[Subject]) -> int:
    """Count what comparisons have put right of these accounts."""
    usernames = [subject.credentials.username for subject in subjects]
    query = "SELECT count(*) AS n FROM provisioner.repairs WHERE key = ANY (%s)"
    row = database.execute(query, [usernames]).fetchone()
    assert row
    return int(row["n"])


def pending(database: Database) -> int:
    row = database.execute("SELECT count(*) AS n FROM provisioner.pending_kicks").fetchone()
    assert row
    return int(row["n"])


def versions(database: Database) -> dict[str, object]:
    """Tell, table by table, which version of which row there is."""
    names = [row["name"] for row in database.execute(TABLES.encode()).fetchall()]
    query = "SELECT array_agg(t.ctid || ' ' || t.xmin ORDER BY t.ctid) AS rows FROM {} AS t"
    return {name: database.execute(query.format(name).encode()).fetchone() for name in names}
