"""Brings events to endpoints: the worker's part of webhooks.

A delivery is claimed for a while, attempted outside of any transaction, and recorded. A worker that
is killed in between leaves a claim that ends, and then the delivery is made again: an endpoint
gets an event at least once, and knows a repetition by its webhook-id. Each endpoint has one sender
at a time in a worker, so that a slow one keeps nobody else waiting.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from provisioner import db, tallies, tracing, webhook_store
from provisioner.db import Connection, Database
from provisioner.errors import DatabaseUnavailable
from provisioner.hooks import endpoints, incoming
from provisioner.hooks.backoff import next_delay
from provisioner.hooks.delivery import Outcome, deliver
from provisioner.hooks.signature import sign
from provisioner.sealing import SealBroken, Sealer
from provisioner.settings import Settings
from provisioner.webhook_store import Claimed

log = logging.getLogger(__name__)

SENDERS = 16  # endpoints that are served at the same time
SENDERS_OF_CUSTOMER = 8  # of them for endpoints of one customer
TURN = 30.0  # seconds after which an endpoint makes room for those that wait longer
LEASE = 60.0  # seconds after which a claimed delivery counts as lost; an attempt takes 15 or less
PRUNE_BATCH = 1000  # events deleted in one transaction


class Deliverer:
    """Serves endpoints that have something due, each in a thread of its own.

    The threads are daemons: a worker that stops waits for none, because what they leave is done
    again.
    """

    def __init__(
        self, settings: Settings, stopping: threading.Event, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._sealer = Sealer(settings.secrets_keys)
        self._stopping = stopping
        self._wake = wake
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    def step(self, connection: Connection) -> None:
        """Start a sender for each endpoint that has a delivery due and none yet."""
        with self._lock:
            busy = set(self._busy)
        if len(busy) >= SENDERS:
            return
        due = webhook_store.endpoints_due(
            connection, busy, SENDERS - len(busy), SENDERS_OF_CUSTOMER
        )
        for endpoint_id in due:
            with self._lock:
                self._busy.add(endpoint_id)
            threading.Thread(target=self._serve, args=(endpoint_id,), daemon=True).start()

    def _serve(self, endpoint_id: int) -> None:
        """Attempt what is due at an endpoint, until its turn is over."""
        url = self._settings.database_url
        over = monotonic() + TURN
        try:
            with (
                db.translated_errors(),
                db.connect(url, autocommit=True, name="provisioner sender") as connection,
            ):
                while not self._stopping.is_set() and self._attempt(connection, endpoint_id):
                    if monotonic() >= over:
                        break
        except DatabaseUnavailable as error:
            log.warning("endpoint %s: %s", endpoint_id, error.detail)
        except Exception:
            log.exception("endpoint %s: unexpected error", endpoint_id)
        finally:
            with self._lock:
                self._busy.discard(endpoint_id)
            self._wake()

    def _attempt(self, connection: Connection, endpoint_id: int) -> bool:
        """Attempt an endpoint's first delivery that is due; False where there is none."""
        claimed = webhook_store.claim_delivery(connection, endpoint_id, LEASE)
        if claimed is None:
            return False
        sealed = webhook_store.endpoint_keys(connection, endpoint_id)
        with tracing.of_work("webhook") as span:
            outcome = self._deliver(claimed, sealed)
            _describe(span, claimed, outcome)
        record(connection, claimed, outcome, random.random())  # noqa: S311 - it spreads retries
        return True

    def _deliver(self, claimed: Claimed, sealed: Sequence[str]) -> Outcome:
        began = monotonic()
        try:
            secrets = [self._sealer.open(one) for one in sealed]
        except SealBroken as error:
            return Outcome(None, round((monotonic() - began) * 1000), error.code)
        body = message(claimed)
        headers = sign(secrets, claimed.event_id, body)
        return deliver(claimed.url, headers, body.encode(), self._settings.webhook_networks)


def _describe(span: tracing.Span, claimed: Claimed, outcome: Outcome) -> None:
    """Say of an attempt what names nobody: an error's text may hold an address."""
    span.say(
        provisioner__endpoint_id=claimed.endpoint_id,
        provisioner__event_id=claimed.event_id,
        provisioner__event_type=claimed.type,
        provisioner__attempt=claimed.attempts,
        http__response__status_code=outcome.status,
    )
    if not outcome.delivered:
        span.fail(str(outcome.status or (outcome.error or "").partition(":")[0]))


def message(claimed: Claimed) -> str:
    """Return the body of an event; the same at every attempt."""
    timestamp = claimed.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": claimed.type, "timestamp": timestamp, "data": claimed.data})


def record(connection: Connection, claimed: Claimed, outcome: Outcome, chance: float) -> None:
    """Write down what came of an attempt, and when there will be another, if ever."""
    state, delay = "delivered", None
    if not outcome.delivered:
        delay = None if outcome.gone else next_delay(claimed.attempts, claimed.age, chance)
        state = "dead" if delay is None else "pending"
    _count(outcome, state)
    with connection.transaction():
        webhook_store.insert_attempt(
            connection,
            claimed.id,
            status=outcome.status,
            duration_ms=outcome.duration_ms,
            error=outcome.error,
            response=outcome.response,
        )
        webhook_store.record_delivery(
            connection,
            claimed,
            state,
            delay=delay,
            status=outcome.status,
            error=outcome.error,
        )
        if outcome.gone:
            endpoints.gone(connection, claimed.endpoint_id)


def _count(outcome: Outcome, state: str) -> None:
    if outcome.gone:
        what = "gone"
    else:
        what = {"delivered": "delivered", "pending": "failed", "dead": "given_up"}[state]
    tallies.ATTEMPTS.labels(what).inc()
    tallies.ATTEMPT_DURATION.observe(outcome.duration_ms / 1000)


def upkeep(database: Database, stopping: threading.Event) -> None:
    """Try incoming events again that something stood in the way of, and forget what is old."""
    incoming.retry_blocked(database)
    while not stopping.is_set():
        with database.transaction() as connection:
            if not webhook_store.prune(connection, PRUNE_BATCH):
                return
