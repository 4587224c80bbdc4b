"""Workers whose conversations pass through relays, so that they can be cut off and killed."""

import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from provisioner.stack.stack import Stack
from tests.sip.faults.outages import stopped
from tests.sip.faults.relay import Message, Relay

RPC = "RPC"  # what the conversation with the node is called


class Killer:
    """Kills the worker before a certain message of a conversation goes on."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._at: tuple[str, int] | None = None

    def aim(self, worker: subprocess.Popen[bytes], at: tuple[str, int] | None) -> None:
        """Count anew, and kill this worker at the n-th message of a conversation."""
        with self._lock:
            self.counts.clear()
            self._worker, self._at = worker, at

    def passes(self, conversation: str) -> bool:
        """Count a message, and say whether it goes on."""
        with self._lock:
            self.counts[conversation] += 1
            if (conversation, self.counts[conversation]) != self._at:
                return True
            assert self._worker is not None
            self._worker.kill()
            return False


class Workshop:
    """Starts workers that speak to the stack through relays.

    `watch` is shown each message between them and the node.
    """

    def __init__(self, stack: Stack, watch: Callable[[Message], None] = lambda _: None) -> None:
        self.killer = Killer()
        self._watch = watch
        self._stack = stack
        url = urlsplit(stack.database_url)
        self.sql = Relay(url.port or 0, lambda message: self.killer.passes(message.session))
        self.rpc = Relay(urlsplit(stack.rpc_url).port or 0, self._passes_rpc)

    def _passes_rpc(self, message: Message) -> bool:
        self._watch(message)
        return self.killer.passes(RPC)

    @property
    def _environ(self) -> dict[str, str]:
        url = urlsplit(self._stack.database_url)
        through = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{self.sql.port}"))
        return self._stack.environ | {
            "DATABASE_URL": through.geturl(),
            "KAMAILIO_NODES": f"node1=http://127.0.0.1:{self.rpc.port}/rpc",
        }

    @contextmanager
    def open(self) -> Iterator["Workshop"]:
        """Take the place of the stack's own worker."""
        with stopped(self._stack.worker), self.sql, self.rpc:
            yield self

    @contextmanager
    def worker(self, at: tuple[str, int] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker that is killed at a message; without one it ends with the block."""
        log = self._stack.worker.log.open("ab")
        with (
            log,
            subprocess.Popen(
                [".venv/bin/provisioner", "worker"], env=self._environ, stdout=log, stderr=log
            ) as worker,
        ):
            self.killer.aim(worker, at)
            try:
                yield worker
            finally:
                worker.kill()
