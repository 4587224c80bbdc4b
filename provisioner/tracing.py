"""Traces of changes, behind a setting: without it nothing of OpenTelemetry is imported.

A trace leads from a request over its transaction to each node that has confirmed the change;
pending work carries it there as W3C Trace Context. Imports and webhooks have traces of their own.
Attributes hold no secret and no phone number.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from provisioner.errors import SettingInvalid

if TYPE_CHECKING:
    from provisioner.opentelemetry_spans import Spans

_spans: "Spans | None" = None


class Span:
    """Something that takes a while; this one is not traced."""

    def name(self, name: str) -> None:
        """Call it otherwise."""

    def say(self, **attributes: Any) -> None:
        """Add attributes; `__` in a name stands for a dot."""

    def fail(self, kind: str) -> None:
        """Say that it went wrong, and how: a kind of error, never a message."""


_UNTRACED = Span()


@contextmanager
def _untraced() -> Iterator[Span]:
    yield _UNTRACED


def check() -> None:
    """See that spans can be made.

    Raises:
        SettingInvalid: OpenTelemetry is not installed.
    """
    if find_spec("opentelemetry") is None:
        rule = 'needs the optional dependencies "traces" (requirements-traces.lock)'
        raise SettingInvalid("OTEL_EXPORTER_OTLP_ENDPOINT", rule)


def start(service: str) -> None:
    """Trace from now on, in this process: `serve` starts others, each of which calls this.

    Raises:
        SettingInvalid: OpenTelemetry is not installed.
    """
    global _spans
    check()
    from provisioner.opentelemetry_spans import Spans

    _spans = Spans(service)


def stop() -> None:
    """Send what has not been sent, if that can be done at once."""
    if _spans is not None:
        _spans.stop()


def of_request(traceparent: str) -> AbstractContextManager[Span]:
    """Trace a request, as part of the client's trace where it has one."""
    return _untraced() if _spans is None else _spans.of_request(traceparent)


def of_work(name: str) -> AbstractContextManager[Span]:
    """Trace work that nobody waits for, as a trace of its own."""
    return _untraced() if _spans is None else _spans.of_work(name)


def part(name: str) -> AbstractContextManager[Span]:
    """Trace a part of what is traced; what belongs to no trace starts none."""
    return _untraced() if _spans is None else _spans.part(name)


def traceparent() -> str | None:
    """Return the present span as W3C Trace Context has it, for who continues its work."""
    return None if _spans is None else _spans.traceparent()


def ended(name: str, traceparent: str | None, began: int, **attributes: Any) -> None:
    """Tell of the end of work that a span has asked for; `began` in nanoseconds since 1970."""
    if _spans is not None and traceparent is not None:
        _spans.ended(name, traceparent, began, **attributes)
