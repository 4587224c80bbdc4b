"""Serves the application with gunicorn."""

import gc
from collections.abc import Callable
from typing import Any
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

    def atoms(self, *request: Any) -> dict[str, Any]:
        """Return what the line is made of."""
        atoms: dict[str, Any] = super().atoms(*request)
        return atoms | {"U": quote(_masked(str(atoms["U"])))}


class _JsonLog(_Log):
    """The same as JSON: what an access line says in its order has names here."""

    kind = LogFormat.JSON

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Tell of an answer."""
        atoms = self.atoms(resp, req, environ, request_time)
        facts = about(
            request_id=atoms.get("{x-request-id}o"),
            client=atoms["h"],
            method=atoms["m"],
            path=atoms["U"],
            status=int(atoms["s"]),
            bytes=atoms["B"],
            ms=round(atoms["D"] / 1000, 3),
        )
        self.access_log.info("answered", extra=facts)


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
            # No query string and no header: nothing that a client may have put a secret in.
            "access_log_format": ('%(h)s "%(m)s %(U)s" %(s)s %(B)s %(D)sus %({x-request-id}o)s'),
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
