"""The sync worker: wait, read, plan, apply, confirm; until it is told to stop.

It is level-triggered: a NOTIFY only ends a wait early, of those whose work it tells of. Each node
has a thread, a database session that holds the node's lock, and one RPC connection. Other threads
compare Kamailio's tables, put changes of credentials in force, deliver webhooks, run imports, cost
calls, record lost ones, and tell of refused ones and of guessing. Several workers may run: each
piece of work is one worker's at a time.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import psycopg

from provisioner import (
    call_days,
    comparison,
    db,
    guard_store,
    guessing,
    login_store,
    refusals,
    rotation,
    sync_store,
    tallies,
    tenancy_store,
)
from provisioner.bulk.runner import ImportRunner
from provisioner.costing import Costing
from provisioner.errors import DatabaseUnavailable, NodeUnavailable, PlanDangerous, RpcFailed
from provisioner.hooks.deliverer import Deliverer, upkeep
from provisioner.kamailio import KamailioNode
from provisioner.node_sync import NodeSync
from provisioner.reconcile import Limits
from provisioner.replica import Replica
from provisioner.settings import Settings
from provisioner.waking import CHANNEL, Alarm, SessionAlarm

log = logging.getLogger(__name__)

NODES = "nodes"  # the table whose new rows want a thread
NODE_WORK = frozenset({"pending_kicks", "pending_reloads"})  # tables
# Who looks for work in a table; all of them where that is not known. Nodes hear it themselves.
WORK = {
    "credential_changes": "credentials",
    "webhook_deliveries": "webhooks",
    "imports": "imports",
    **dict.fromkeys([NODES, *NODE_WORK], ""),
}
PULSE = 1.0  # seconds between two looks at a node that has nothing to do
UPKEEP_INTERVAL = 60.0  # seconds between two looks at events that wait, and at what is old
SWEEP_INTERVAL = 5.0  # seconds between two looks for calls of nodes that are gone
RETRY = 1.0  # seconds before a node or database that was away is tried again


class Worker:
    """Runs until `stop` is called, in the thread that calls `run`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._interval = settings.sync_interval
        self._imports = ImportRunner(settings)
        self._limits = Limits(settings.delete_share, settings.delete_floor)
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._alarms: dict[str, Alarm] = {}

    def stop(self) -> None:
        """Ask the worker to finish what it is doing and return from `run`."""
        self._stopping.set()
        self._imports.stop()
        self._wake()

    def run(self) -> None:
        """Work until stopped."""
        log.info("worker started")
        self._start("comparison", self._compare_tables)
        self._start("credentials", self._change_credentials)
        self._start("webhooks", self._deliver)
        self._start("upkeep", self._keep_up)
        self._start("imports", self._run_imports)
        self._start("lost calls", self._record_lost_calls)
        self._start("refusals", self._tell_refusals)
        self._start("calls", self._cost_calls)
        self._repeat("worker", self._listen)
        for thread in self._threads.values():
            thread.join()
        log.info("worker stopped")

    def _listen(self) -> None:
        """Wake threads when there is work for them, and start one for each node."""
        url = self._settings.database_url
        with db.connect(url, autocommit=True, name="provisioner worker") as connection:
            connection.execute(f"LISTEN {CHANNEL}".encode())
            for name, rpc_url in self._settings.nodes.items():
                sync_store.save_node(connection, name, rpc_url)
            while not self._stopping.is_set():
                for node in sync_store.nodes(connection):
                    self._start_node(node.name)
                for notice in connection.notifies(timeout=PULSE):
                    self._wake(WORK.get(notice.payload))
                    if self._stopping.is_set() or notice.payload == NODES:
                        break

    def _start(self, name: str, work: Callable[[], None], alarm: Alarm | None = None) -> None:
        """Start a thread that repeats `work`, unless it runs already."""
        if name not in self._threads:
            self._alarms[name] = alarm or Alarm()
            self._threads[name] = threading.Thread(target=self._repeat, args=(name, work))
            self._threads[name].start()

    def _start_node(self, name: str) -> None:
        if f"node {name}" not in self._threads:
            alarm = SessionAlarm(NODE_WORK)
            self._start(f"node {name}", partial(self._watch, name, alarm), alarm)

    def _wake(self, wanted: str | None = None) -> None:
        """Wake one thread, or all."""
        for name, alarm in list(self._alarms.items()):
            if wanted in (None, name):
                alarm.set()

    def _repeat(self, name: str, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                work()
            except (DatabaseUnavailable, psycopg.OperationalError) as error:
                tallies.failed(name)
                log.warning("%s: the database is away: %s", name, error)
            except Exception:
                tallies.failed(name)
                log.exception("%s: unexpected error", name)
            self._stopping.wait(RETRY)

    def _watch(self, name: str, alarm: SessionAlarm) -> None:
        """Make a node obey for as long as it answers and this session holds its lock."""
        url = self._settings.database_url
        with db.connect(url, autocommit=True, name=f"provisioner node {name}") as connection:
            node = sync_store.node(connection, name)
            if node is None or not sync_store.lock_node(connection, node.id):
                return
            alarm.listen(connection)
            kamailio = KamailioNode(node.rpc_url, self._settings.rpc_token)
            replica_url = self._settings.replicas.get(name)
            replica = None if replica_url is None else Replica(replica_url)
            sync = NodeSync(connection, node, kamailio, self._interval, replica)
            tallies.hold(name)
            try:
                while not self._stopping.is_set():
                    alarm.clear()
                    sync.step()
                    alarm.sleep(connection, sync.seconds_to_next_step(PULSE))
            except (NodeUnavailable, RpcFailed) as error:
                tallies.failed(f"node {name}")
                log.warning("%s: %s", name, error.detail)
                sync_store.node_away(connection, node.id, error.detail)
            finally:
                tallies.let_go(name)
                with suppress(NodeUnavailable, RpcFailed):
                    sync.leave()
                kamailio.close()
                if replica is not None:
                    replica.close()

    def _change_credentials(self) -> None:
        """Put what was scheduled in force, to the moment."""
        with self._session("credentials") as (connection, wake):
            while not self._stopping.is_set():
                wake.clear()
                seconds = rotation.apply_due(connection)
                wake.wait(PULSE if seconds is None else min(seconds, PULSE))

    def _run_imports(self) -> None:
        """Run the imports that wait, and those that other workers have left."""
        with self._session("imports") as (connection, wake):
            while not self._stopping.is_set():
                wake.clear()
                self._imports.step(connection)
                wake.wait(PULSE)

    def _record_lost_calls(self) -> None:
        """Record the calls of nodes that are gone. Several workers may: one of them does."""
        with self._session("lost calls") as (connection, _):
            while not self._stopping.is_set():
                sync_store.record_lost_calls(connection)
                self._stopping.wait(SWEEP_INTERVAL)

    def _tell_refusals(self) -> None:
        """Tell of calls that were refused, and of passwords that are guessed at."""
        with self._session("refusals") as (connection, _):
            while not self._stopping.is_set():
                refusals.tell(connection)
                guessing.tell(connection)
                self._stopping.wait(PULSE)

    def _cost_calls(self) -> None:
        """Cost the calls that have ended, and sum up what those in progress cost so far."""
        with self._session("calls") as (connection, wake):
            costing = Costing()
            while not self._stopping.is_set():
                wake.clear()
                if not costing.step(connection):
                    wake.wait(PULSE)

    def _deliver(self) -> None:
        """Bring events to endpoints as they fall due."""
        with self._session("webhooks") as (connection, wake):
            deliverer = Deliverer(self._settings, self._stopping, wake.set)
            while not self._stopping.is_set():
                wake.clear()
                deliverer.step(connection)
                wake.wait(PULSE)

    @contextmanager
    def _session(self, name: str) -> Iterator[tuple[db.Connection, Alarm]]:
        """Give a thread its database session, and the event that wakes it."""
        url = self._settings.database_url
        with (
            db.connect(url, autocommit=True, name=f"provisioner {name}") as connection,
            db.translated_errors(),
        ):
            yield connection, self._alarms[name]

    def _keep_up(self) -> None:
        """Look after hooks now and then, forget what is old, and sum up days that are over."""
        database = db.Database(self._settings.database_url, size=1)
        try:
            while not self._stopping.is_set():
                upkeep(database, self._stopping)
                with database.transaction() as connection:
                    guard_store.prune_refusals(connection)
                    guard_store.prune_guessing(connection)
                    sync_store.prune_repairs(connection)
                self._sum_up_days()
                self._stopping.wait(UPKEEP_INTERVAL)
        finally:
            database.close()

    def _sum_up_days(self) -> None:
        url = self._settings.database_url
        with (
            db.connect(url, autocommit=True, name="provisioner days") as connection,
            db.translated_errors(),
        ):
            while not self._stopping.is_set() and call_days.sum_up(connection):
                pass

    def _compare_tables(self) -> None:
        """Put Kamailio's tables right, then wait for the next time."""
        url = self._settings.database_url
        with (
            db.connect(url, autocommit=True, name="provisioner comparison") as connection,
            db.translated_errors(),
        ):
            if sync_store.claim_comparison(connection):
                tenancy_store.prune_keys(connection)
                login_store.prune(connection)
                try:
                    with tallies.COMPARISON.labels("tables").time():
                        plan, present = comparison.plan_tables(connection)
                        comparison.repair(connection, plan, present, self._limits)
                except PlanDangerous as error:
                    tallies.REPAIRS_REFUSED.inc()
                    log.error("refused: %s", error.detail)  # noqa: TRY400 - it says it all
        self._stopping.wait(max(0.0, self._interval - RETRY))
