"""The sync worker: wait, read, plan, apply, confirm; until it is told to stop.

It is level-triggered: a NOTIFY only ends a wait early. Each node has a thread, a database session
that holds the node's lock, and one RPC connection; another thread compares Kamailio's tables.
Another puts changes of credentials in force when they are due, and one runs imports. Several
workers may run, for a node has one at a time.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

import psycopg

from provisioner import comparison, db, rotation, sync_store, tenancy_store
from provisioner.bulk.runner import ImportRunner
from provisioner.errors import DatabaseUnavailable, NodeUnavailable, PlanDangerous, RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.node_sync import NodeSync
from provisioner.reconcile import Limits
from provisioner.settings import Settings

log = logging.getLogger(__name__)

CHANNEL = "provisioner_work"
PULSE = 1.0  # seconds between two looks at a node that has nothing to do
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
        self._wakes: dict[str, threading.Event] = {}

    def stop(self) -> None:
        """Ask the worker to finish what it is doing and return from `run`."""
        self._stopping.set()
        self._imports.stop()
        self._wake_all()

    def run(self) -> None:
        """Work until stopped."""
        log.info("worker started")
        self._start("comparison", self._compare_tables)
        self._start("credentials", self._change_credentials)
        self._start("imports", self._run_imports)
        self._repeat("worker", self._listen)
        for thread in self._threads.values():
            thread.join()
        log.info("worker stopped")

    def _listen(self) -> None:
        """Wake the nodes' threads when there is work, and start one for each node."""
        url = self._settings.database_url
        with db.connect(url, autocommit=True, name="provisioner worker") as connection:
            connection.execute(f"LISTEN {CHANNEL}".encode())
            for name, rpc_url in self._settings.nodes.items():
                sync_store.save_node(connection, name, rpc_url)
            while not self._stopping.is_set():
                for node in sync_store.nodes(connection):
                    self._start(f"node {node.name}", partial(self._watch, node.name))
                for _ in connection.notifies(timeout=PULSE):
                    self._wake_all()
                    if self._stopping.is_set():
                        break

    def _start(self, name: str, work: Callable[[], None]) -> None:
        """Start a thread that repeats `work`, unless it runs already."""
        if name not in self._threads:
            self._wakes[name] = threading.Event()
            self._threads[name] = threading.Thread(target=self._repeat, args=(name, work))
            self._threads[name].start()

    def _wake_all(self) -> None:
        for wake in list(self._wakes.values()):
            wake.set()

    def _repeat(self, name: str, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                work()
            except (DatabaseUnavailable, psycopg.OperationalError) as error:
                log.warning("%s: the database is away: %s", name, error)
            except Exception:
                log.exception("%s: unexpected error", name)
            self._stopping.wait(RETRY)

    def _watch(self, name: str) -> None:
        """Make a node obey for as long as it answers and this session holds its lock."""
        url = self._settings.database_url
        with db.connect(url, autocommit=True, name=f"provisioner node {name}") as connection:
            node = sync_store.node(connection, name)
            if node is None or not sync_store.lock_node(connection, node.id):
                return
            kamailio = KamailioNode(node.rpc_url, self._settings.rpc_token)
            try:
                self._obey(NodeSync(connection, node, kamailio, self._interval))
            except (NodeUnavailable, RpcFailed) as error:
                log.warning("%s: %s", name, error.detail)
                sync_store.node_away(connection, node.id, error.detail)
            finally:
                kamailio.close()

    def _obey(self, sync: NodeSync) -> None:
        wake = self._wakes[f"node {sync.node.name}"]
        while not self._stopping.is_set():
            wake.clear()
            sync.step()
            wake.wait(sync.seconds_to_next_step(PULSE))

    def _change_credentials(self) -> None:
        """Put what was scheduled in force, to the moment."""
        url, wake = self._settings.database_url, self._wakes["credentials"]
        with (
            db.connect(url, autocommit=True, name="provisioner credentials") as connection,
            db.translated_errors(),
        ):
            while not self._stopping.is_set():
                wake.clear()
                seconds = rotation.apply_due(connection)
                wake.wait(PULSE if seconds is None else min(seconds, PULSE))

    def _run_imports(self) -> None:
        """Run the imports that wait, and those that other workers have left."""
        url, wake = self._settings.database_url, self._wakes["imports"]
        with (
            db.connect(url, autocommit=True, name="provisioner imports") as connection,
            db.translated_errors(),
        ):
            while not self._stopping.is_set():
                wake.clear()
                self._imports.step(connection)
                wake.wait(PULSE)

    def _compare_tables(self) -> None:
        """Put Kamailio's tables right, then wait for the next time."""
        url = self._settings.database_url
        with (
            db.connect(url, autocommit=True, name="provisioner comparison") as connection,
            db.translated_errors(),
        ):
            if sync_store.claim_comparison(connection):
                tenancy_store.prune_keys(connection)
                plan, present = comparison.plan_tables(connection)
                try:
                    comparison.repair(connection, plan, present, self._limits)
                except PlanDangerous as error:
                    log.error("refused: %s", error.detail)  # noqa: TRY400 - it says it all
        self._stopping.wait(max(0.0, self._interval - RETRY))
