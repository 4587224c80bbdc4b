"""What a worker counts and times: for its own /metrics, and nowhere in a process that has none.

As in `meters`, labels are few and bounded.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
CONVERGENCE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
ATTEMPT_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
COMPARISON_BUCKETS = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0)

WORKER = CollectorRegistry()
ProcessCollector(registry=WORKER)

FAILURES = Counter(
    "provisioner_worker_failures",
    "How often a part of the worker's work was broken off by an error.",
    ["task"],
    registry=WORKER,
)
NODE_HELD = Gauge(
    "provisioner_worker_node_held",
    "Whether this worker is the one that makes the node obey.",
    ["node"],
    registry=WORKER,
)
CONVERGENCE = Histogram(
    "provisioner_worker_convergence_seconds",
    "From a change, of an account (kick) or of networks and trunks (reload), to the node's"
    " confirmation.",
    ["node", "kind"],
    buckets=CONVERGENCE_BUCKETS,
    registry=WORKER,
)
REFUSED_WORK = Counter(
    "provisioner_worker_node_refusals",
    "Commands that a node answered with an error, to be tried again.",
    ["node", "kind"],
    registry=WORKER,
)
COMPARISON = Histogram(
    "provisioner_worker_comparison_duration_seconds",
    "How long full comparisons took: of Kamailio's tables, and of nodes' memory.",
    ["of"],
    buckets=COMPARISON_BUCKETS,
    registry=WORKER,
)
REPAIRS = Counter(
    "provisioner_worker_repairs",
    "Differences that comparisons have put right.",
    ["target", "action"],
    registry=WORKER,
)
REPAIRS_REFUSED = Counter(
    "provisioner_worker_dangerous_plans",
    "Comparisons that would have deleted too much, and left that out.",
    registry=WORKER,
)
ATTEMPTS = Counter(
    "provisioner_worker_webhook_attempts",
    "Attempts to deliver an event to an endpoint.",
    ["outcome"],
    registry=WORKER,
)
ATTEMPT_DURATION = Histogram(
    "provisioner_worker_webhook_attempt_duration_seconds",
    "How long an attempt took.",
    buckets=ATTEMPT_BUCKETS,
    registry=WORKER,
)
IMPORTS = Counter(
    "provisioner_worker_imports", "Imports that have ended.", ["outcome"], registry=WORKER
)
IMPORTED_ROWS = Counter(
    "provisioner_worker_import_rows",
    "Lines of imports that have ended: applied, or found bad.",
    ["outcome"],
    registry=WORKER,
)
CALLS_REFUSED = Counter(
    "provisioner_worker_calls_refused",
    "Calls that were refused for a reason that customers are told.",
    ["reason"],
    registry=WORKER,
)
GUESSING_TOLD = Counter(
    "provisioner_worker_guessing_alarms",
    "Times that somebody was told that a password is guessed at from many addresses.",
    registry=WORKER,
)

KINDS = ("kick", "reload")
TASKS = (
    *("worker", "node", "comparison", "credentials", "webhooks", "upkeep", "imports"),
    *("lost calls", "refusals", "calls"),
)
REPAIRABLE = {
    **dict.fromkeys(["subscriber", "address"], ("insert", "update", "delete")),
    **dict.fromkeys(["binding", "call"], ("delete",)),
    **dict.fromkeys(["allowlist", "trunks"], ("reload",)),
}
SHOWN: dict[Counter | Histogram, tuple[str, ...]] = {
    FAILURES: TASKS,
    ATTEMPTS: ("delivered", "failed", "given_up", "gone"),
    IMPORTS: ("done", "failed"),
    IMPORTED_ROWS: ("applied", "bad"),
    COMPARISON: ("tables", "node"),
    CALLS_REFUSED: ("channels", "destination", "spend_cap", "call_rate"),
}


def hold(node: str) -> None:
    """Note that this worker has a node, which is shown with what it has not done yet."""
    NODE_HELD.labels(node).set(1)
    for kind in KINDS:
        CONVERGENCE.labels(node, kind)
        REFUSED_WORK.labels(node, kind)


def let_go(node: str) -> None:
    """Note that this worker has a node no more."""
    NODE_HELD.labels(node).set(0)


def failed(task: str) -> None:
    """Note that a part of the work broke off; nodes have a thread each."""
    FAILURES.labels("node" if task.startswith("node ") else task).inc()


def _show_from_the_start() -> None:
    """A rate needs a series that was 0 before the first event."""
    for counter, values in SHOWN.items():
        for value in values:
            counter.labels(value)
    for target, actions in REPAIRABLE.items():
        for action in actions:
            REPAIRS.labels(target, action)


_show_from_the_start()
