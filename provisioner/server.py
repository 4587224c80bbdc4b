"""Serves the application with gunicorn."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from provisioner import tracing
from provisioner.api.context import Services
from provisioner.app import create_app
from provisioner.lines import about, formatter
from provisioner.measured import Measured
from provisioner.settings import LogFormat, Settings

INVITATIONS = "/console/invitations/"
WORKERS = 2
WORKER_CLASS = "provisioner.reception.Receiver"
GRACEFUL_TIMEOUT = 5  # seconds for requests in progress when the server stops
REQUEST_LINE_MAX = 8190  # bytes of method, path and query
THREADS = 64  # of each worker: one that waits for convergence, or follows a live page, holds one


def serve(settings: Settings) -> None:
    """Serve the HTTP API in the foreground until SIGTERM or SIGINT."""
    _Server(settings).run()


def _end(_: object, worker: Any) -> None:
    """Close the pool, whose threads would otherwise keep an ending process waiting."""
    tracing.stop()
    services = worker.wsgi.extensions["provisioner"]
    assert isinstance(services, Services)  # noqa: S101 - create_app put it there
    services.database.close()


def _masked(path: str) -> str:
    """Leave out what only its reader may know: whoever has an invitation's text sets a password."""
    return f"{INVITATIONS}-" if path.startswith(INVITATIONS) else path


class _Log(Logger):  # type: ignore[misc] # gunicorn ships no type information
    """gunicorn's log, in which an event is one line, whatever a client has sent."""

    kind = LogFormat.TEXT

    def setup(self, cfg: Any) -> None:
        """Open the logs."""
        super().setup(cfg)
        for log, line in ((self.error_log, self.error_fmt), (self.access_log, self.access_fmt)):
            for handler in log.handlers:
                handler.setFormatter(formatter(self.kind, line, self.datefmt))

    def access(self, resp: Any, _: object, environ: Any, request_time: timedelta) -> None:
        """Tell of an answer. gunicorn would make a name of every header and variable first."""
        self.tell(_Answer.of(resp, environ, request_time))

    def tell(self, answer: "_Answer") -> None:
        """Write a line."""
        self.access_log.info(
            '%s "%s %s" %s %s %sus %s',
            answer.client,
            answer.method,
            answer.path,
            answer.status,
            answer.sent,
            answer.took // timedelta(microseconds=1),
            answer.request_id or "-",
        )


class _JsonLog(_Log):
    """The same as JSON: what an access line says in its order has names here."""

    kind = LogFormat.JSON

    def tell(self, answer: "_Answer") -> None:
        """Write a line."""
        facts = about(
            request_id=answer.request_id,
            client=answer.client,
            method=answer.method,
            path=answer.path,
            status=answer.status,
            bytes=answer.sent,
            ms=answer.took // timedelta(microseconds=1) / 1000,
        )
        self.access_log.info("answered", extra=facts)


@dataclass(frozen=True)
class _Answer:
    """What is logged of an answer: no query string and no header, nothing that a client may have
    put a secret in.
    """

    client: str
    method: str
    path: str
    status: int
    sent: int  # bytes of the body
    took: timedelta
    request_id: str | None

    @classmethod
    def of(cls, resp: Any, environ: Mapping[str, Any], took: timedelta) -> Self:
        """Make one of what gunicorn knows."""
        ids = [value for name, value in resp.headers if name.lower() == "x-request-id"]
        return cls(
            client=environ.get("REMOTE_ADDR", "-"),
            method=environ.get("REQUEST_METHOD", "-"),
            path=quote(_masked(environ.get("PATH_INFO", "-"))),
            status=int(str(resp.status).split(None, 1)[0]),
            sent=resp.sent,
            took=took,
            request_id=ids[0] if ids else None,
        )


_LOGS = {LogFormat.TEXT: _Log, LogFormat.JSON: _JsonLog}


class _Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no type information
    """gunicorn configured from our settings instead of a file or its command line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._measured = Measured()
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"{self._settings.http_address}:{self._settings.http_port}",
            "workers": WORKERS,
            # TRUSTED_PROXIES says who is believed; gunicorn would believe all of this machine.
            "forwarded_allow_ips": "",
            "threads": THREADS,
            "worker_class": WORKER_CLASS,
            "limit_request_line": REQUEST_LINE_MAX,
            "accesslog": "-",
            "logger_class": _LOGS[self._settings.log_format],
            "control_socket_disable": True,
            "worker_exit": self._worker_exit,
            "child_exit": self._measured.ended,
            "on_exit": self._measured.leave,
            # where prometheus_client looks for it
            "raw_env": [f"PROMETHEUS_MULTIPROC_DIR={self._measured.path}"],
            "graceful_timeout": GRACEFUL_TIMEOUT,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        """Make the application, in each process anew."""
        if self._settings.traces_endpoint:
            tracing.start("provisioner")
        self._measured.use()
        application: Flask = create_app(self._settings, self._measured.path)
        gc.freeze()  # or else a collection looks at all of it, and takes 60 ms
        return application

    def _worker_exit(self, server: object, worker: Any) -> None:
        _end(server, worker)
        self._measured.leave()
