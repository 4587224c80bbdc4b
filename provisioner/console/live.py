"""Server-sent events (WHATWG HTML, section 9.2): a page's parts are sent anew when they change.

A stream holds a thread, so there is a bound; whoever is beyond it gets one look at a time, and the
browser asks again by itself.
"""

import time
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore

from flask import Response, json, stream_with_context

from provisioner.errors import DatabaseUnavailable, NotFound

STREAMS_MAX = 40  # of a process at a time
STREAM_SECONDS = 300.0  # after which the browser opens another
LOOK_EVERY = 1.0  # seconds
SILENCE_MAX = 2.0  # seconds after which a comment shows whether somebody still listens
RETRY, RETRY_CROWDED = 1000, 5000  # milliseconds until the browser asks again

END = "event: end\ndata: {}\n\n"

Fragments = Callable[[], dict[str, str] | None]

_streams = BoundedSemaphore(STREAMS_MAX)


def stream(fragments: Fragments) -> Response:
    """Answer with a stream of the fragments that change; it ends when there are none any more."""
    lasting = _streams.acquire(blocking=False)
    events = _lasting(fragments) if lasting else _single(fragments)
    response = Response(stream_with_context(events), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # a proxy would keep them back
    if lasting:
        response.call_on_close(_streams.release)
    return response


def _single(fragments: Fragments) -> Iterator[str]:
    yield f"retry: {RETRY_CROWDED}\n\n"
    present = _look(fragments, {})
    yield END if present is None else _event(present)


def _lasting(fragments: Fragments) -> Iterator[str]:
    yield f"retry: {RETRY}\n\n"
    shown: dict[str, str] = {}
    ends, spoken = time.monotonic() + STREAM_SECONDS, time.monotonic()
    while time.monotonic() < ends:
        present = _look(fragments, shown)
        if present is None:
            yield END
            return
        news = {name: html for name, html in present.items() if shown.get(name) != html}
        shown = present
        if news or time.monotonic() - spoken > SILENCE_MAX:
            yield _event(news) if news else ": still here\n\n"
            spoken = time.monotonic()
        time.sleep(LOOK_EVERY)


def _look(fragments: Fragments, shown: dict[str, str]) -> dict[str, str] | None:
    """Make the fragments; None where what they are about has been deleted or cannot be seen."""
    try:
        return fragments()
    except NotFound:
        return None
    except DatabaseUnavailable:
        return shown  # the page stays as it is until there is news again


def _event(news: dict[str, str]) -> str:
    return f"event: parts\ndata: {json.dumps(news)}\n\n"
