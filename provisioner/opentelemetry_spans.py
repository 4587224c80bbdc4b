"""Spans by OpenTelemetry, sent by OTLP over HTTP; imported only where they are wanted.

The SDK reads the other variables of OpenTelemetry itself: headers, certificates, samplers.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from provisioner import tracing

STOP_MAX = 2.0  # seconds that the last spans may take to be sent
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


class TracedSpan(tracing.Span):
    """A span that is recorded."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def name(self, name: str) -> None:
        """Call it otherwise."""
        self._span.update_name(name)

    def say(self, **attributes: Any) -> None:
        """Add attributes."""
        self._span.set_attributes(_named(attributes))

    def fail(self, kind: str) -> None:
        """Say that it went wrong."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))


class Spans:
    """Makes spans in one process and sends them in the background."""

    def __init__(self, service: str) -> None:
        own = Resource.create({"service.name": service})
        self._provider = TracerProvider(
            resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("provisioner")

    def stop(self) -> None:
        """Send what has not been sent; a collector that is away keeps nobody."""
        sender = threading.Thread(target=self._provider.shutdown, daemon=True)
        sender.start()
        sender.join(STOP_MAX)

    @contextmanager
    def of_request(self, traceparent: str) -> Iterator[tracing.Span]:
        """Trace a request; of what the client says only the ids are taken."""
        with self._current("request", _remote(traceparent) or Context(), SpanKind.SERVER) as span:
            yield span

    @contextmanager
    def of_work(self, name: str) -> Iterator[tracing.Span]:
        """Trace what begins here, whatever span is present."""
        with self._current(name, Context(), SpanKind.INTERNAL) as span:
            yield span

    @contextmanager
    def part(self, name: str) -> Iterator[tracing.Span]:
        """Trace a part of the present span, if there is one."""
        if not trace.get_current_span().get_span_context().is_valid:
            yield tracing.Span()
            return
        with self._current(name, None, SpanKind.INTERNAL) as span:
            yield span

    @contextmanager
    def _current(
        self, name: str, context: Context | None, kind: SpanKind
    ) -> Iterator[tracing.Span]:
        """Make a span the present one. An error's text could be about anybody, so it stays here."""
        with self._tracer.start_as_current_span(
            name, context, kind, record_exception=False, set_status_on_exception=False
        ) as started:
            span = TracedSpan(started)
            try:
                yield span
            except Exception as error:
                span.fail(type(error).__name__)
                raise

    def traceparent(self) -> str | None:
        """Return the present span as W3C Trace Context has it."""
        present = trace.get_current_span().get_span_context()
        if not present.is_valid:
            return None
        return f"00-{present.trace_id:032x}-{present.span_id:016x}-{present.trace_flags:02x}"

    def ended(self, name: str, traceparent: str, began: int, **attributes: Any) -> None:
        """Tell of a span that has ended just now."""
        span = self._tracer.start_span(
            name,
            _remote(traceparent) or Context(),
            SpanKind.CONSUMER,
            _named(attributes),
            start_time=began,
        )
        span.end()


def _remote(traceparent: str) -> Context | None:
    """Read W3C Trace Context; None where it cannot be."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & 1))
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    """Write names as OpenTelemetry has them; what is None is left out."""
    return {
        name.replace("__", "."): value for name, value in attributes.items() if value is not None
    }
