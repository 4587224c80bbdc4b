"""What the database knows at the moment it is asked: read anew for each look of Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from provisioner.db import Connection, Database, one, rows
from provisioner.errors import DatabaseUnavailable
from provisioner.queries import METRICS

TIMEOUT = 2  # seconds for one query: Prometheus gives up after ten
NODE_STATES = ("up", "catching_up", "unwatched", "away")
REPLICA_STATES = ("used", "behind", "away")
EVENT_STATES = ("waiting", "conflict", "rejected")
IMPORT_STATES = ("validating", "applying")


class Facts(Collector):
    """The database's facts; where it is away, they are left out, and that is told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Ask the database."""
        yield _gauge(
            "build_info", "The version that runs.", [(1, version("provisioner"))], "version"
        )
        try:
            with self._database.transaction() as connection:
                connection.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}s'".encode())
                found = [fact for read in _FACTS for fact in read(connection)]
        except DatabaseUnavailable:
            found = []
        up = 1 if found else 0
        yield _gauge("database_up", "Whether the database answers.", [(up,)])
        yield from found


def _nodes(connection: Connection) -> Iterator[Metric]:
    nodes = rows(connection, METRICS["nodes"])
    states = [node["state"] for node in nodes]
    yield _gauge(
        "nodes",
        "Kamailio nodes, by state.",
        [(states.count(state), state) for state in NODE_STATES],
        "state",
    )
    yield _gauge(
        "node_pending_changes",
        "Changes that a node has not confirmed: of accounts (kick), or of networks and trunks.",
        [(node[f"{kind}s"], node["name"], kind) for node in nodes for kind in ("kick", "reload")],
        *("node", "kind"),
    )
    yield _gauge(
        "node_oldest_pending_change_seconds",
        "Age of the oldest change that a node has not confirmed; 0: there is none.",
        [(node["oldest"] or 0, node["name"]) for node in nodes],
        "node",
    )
    yield _gauge(
        "node_draining",
        "Whether a node was told to take nothing new.",
        [(node["draining"], node["name"]) for node in nodes],
        "node",
    )
    for name, what in (("last_seen", "answered a worker"), ("last_compared", "was compared")):
        yield _gauge(
            f"node_{name}_timestamp_seconds",
            f"When a node {what} last.",
            [(node[name], node["name"]) for node in nodes if node[name] is not None],
            "node",
        )


def _replicas(connection: Connection) -> Iterator[Metric]:
    nodes = rows(connection, METRICS["nodes"])
    yield _gauge(
        "node_replica",
        "1: the state of the replica that the node reads from; 0 in all: it has none.",
        [
            (node["replica_state"] == state, node["name"], state)
            for node in nodes
            for state in REPLICA_STATES
        ],
        *("node", "state"),
    )
    yield _gauge(
        "node_replica_lag_seconds",
        "How far that replica was behind when the worker looked last; 0 where there is none.",
        [(node["replica_lag"], node["name"]) for node in nodes],
        "node",
    )


def _calls(connection: Connection) -> Iterator[Metric]:
    calls = _row(connection, METRICS["calls"])
    states = ("ringing", "answered")
    yield _gauge(
        "calls_in_progress",
        "Calls in progress on nodes that are alive, by state.",
        [(calls[state], state) for state in states],
        "state",
    )
    yield _gauge("channels_in_use", "Voice channels in use.", [(calls["channels"],)])


def _hooks(connection: Connection) -> Iterator[Metric]:
    webhooks = _row(connection, METRICS["webhooks"])
    yield _gauge(
        "webhook_deliveries_pending",
        "Webhook deliveries that are to be made yet.",
        [(webhooks["pending"],)],
    )
    yield _gauge(
        "webhook_oldest_pending_delivery_seconds",
        "Since when the oldest of them is due; 0: there is none.",
        [(webhooks["oldest"] or 0,)],
    )
    events = {row["status"]: row["events"] for row in rows(connection, METRICS["events"])}
    yield _gauge(
        "hook_events_open",
        "Events of hook sources that have not been applied, by state.",
        [(events.get(state, 0), state) for state in EVENT_STATES],
        "state",
    )


def _others(connection: Connection) -> Iterator[Metric]:
    imports = {row["status"]: row["imports"] for row in rows(connection, METRICS["imports"])}
    yield _gauge(
        "imports_unfinished",
        "Imports that wait for a worker, or have one, by state.",
        [(imports.get(state, 0), state) for state in IMPORT_STATES],
        "state",
    )
    yield _gauge(
        "accounts_guessed_at",
        "Accounts whose password was guessed at from many addresses within ten minutes.",
        [(_row(connection, METRICS["guessing"])["accounts"],)],
    )


_FACTS: tuple[Callable[[Connection], Iterator[Metric]], ...] = (
    *(_nodes, _replicas, _calls, _hooks, _others),
)


def _row(connection: Connection, query: bytes) -> Mapping[str, Any]:
    row = one(connection, query)
    assert row is not None  # noqa: S101 - it counts
    return row


def _gauge(name: str, text: str, samples: list[tuple[Any, ...]], *labels: str) -> Metric:
    """Make a gauge; a sample is its value and its labels."""
    family = GaugeMetricFamily(f"provisioner_{name}", text, labels=labels)
    for value, *of in samples:
        family.add_metric(of, float(value))
    return family
