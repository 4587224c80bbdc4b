"""What is counted and timed, by the names that Prometheus knows it by (docs/monitoring.md).

Labels are few and bounded: names of nodes, routes as they are declared, and words of this program's
own. Nothing that a client or a customer chose is one: no number, no name, no address.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# When a series began is of no use to anybody, and doubles their number.
disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# Seconds: from a cached page to a client that waits for convergence, or follows a live page.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0)


class HttpMeter:
    """Requests of one process of the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "provisioner_http_requests",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._duration = Histogram(
            "provisioner_http_request_duration_seconds",
            "From the moment a request had come until its answer began.",
            ["method", "route"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._in_progress = Gauge(
            "provisioner_http_requests_in_progress",
            "HTTP requests that are being worked on.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def began(self) -> float:
        """Note a request; returns what `answered` wants to know of it."""
        self._in_progress.inc()
        return perf_counter()

    def answered(self, began: float, method: str, rule: str | None, status: int) -> None:
        """Note an answer; `rule` is the route as Flask has it, None where there is none."""
        method = method if method in METHODS else "other"
        route = template(rule) if rule else "none"
        self._requests.labels(method, route, str(status)).inc()
        self._duration.labels(method, route).observe(perf_counter() - began)

    def ended(self) -> None:
        """Note that a request is over, whatever came of it."""
        self._in_progress.dec()


@lru_cache(maxsize=1024)
def template(rule: str) -> str:
    """Write a route of Flask's as OpenAPI does: `/accounts/<id:account_id>` as `{account_id}`."""
    return re.sub(r"<(?:[^:>]*:)?([^>]*)>", r"{\1}", rule)


class PoolMeter:
    """Connections that one process takes of its pool."""

    def __init__(self, registry: CollectorRegistry, size: int) -> None:
        most = Gauge(
            "provisioner_database_connections_max",
            "Connections that the pools may have.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        most.set(size)
        self._in_use = Gauge(
            "provisioner_database_connections_in_use",
            "Connections of the pools that are in use.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._wait = Histogram(
            "provisioner_database_connection_wait_seconds",
            "How long was waited for a connection of the pool.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._timeouts = Counter(
            "provisioner_database_connection_timeouts",
            "How often the pool had no connection in time, and one beside it was opened.",
            registry=registry,
        )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time the wait for a connection; a timeout is an exception."""
        began = perf_counter()
        try:
            yield
        except Exception:
            self._timeouts.inc()
            raise
        finally:
            self._wait.observe(perf_counter() - began)

    def taken(self) -> None:
        """Note that a connection is in use."""
        self._in_use.inc()

    def returned(self) -> None:
        """Note that it is not any more."""
        self._in_use.dec()
