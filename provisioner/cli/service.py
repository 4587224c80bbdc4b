"""`provisioner serve`, `worker`, `migrate`, `init-…`: what the service itself runs."""

import gc
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner import login_store, logins, passwords, store, tenancy_store, tracing
from provisioner.access import Role
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands
from provisioner.cli.session import Session
from provisioner.credentials import token_digest
from provisioner.db import Connection
from provisioner.exposition import Listener
from provisioner.lines import formatter
from provisioner.migrate import make_roles, migrate
from provisioner.sealing import Sealer
from provisioner.server import serve
from provisioner.settings import Settings
from provisioner.tallies import WORKER
from provisioner.users import NewToken, create_token, create_user
from provisioner.worker import Worker


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    commands.add("serve", _serve, "Serve the HTTP API.", json=False)
    commands.add("worker", _work, "Keep Kamailio in step with the accounts.", json=False)
    migrating = commands.add("migrate", _migrate, "Bring the database up to date.", json=False)
    migrating.add_argument(
        "--roles", action="store_true", help="make the roles only, which a restore needs first"
    )
    token = commands.add(
        "init-token", _init_token, "Write the Admin's API token, if it is not there.", json=False
    )
    token.add_argument("--file", type=Path, required=True, help="where it goes, mode 0600")
    login = commands.add(
        "init-login", _init_login, "Make the first Admin who can log in.", json=False
    )
    login.add_argument("--file", type=Path, required=True, help="where his password goes, 0600")


def _log(session: Session) -> None:
    """Tell what happens; the other commands say what they do themselves."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(session.settings.log_format))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _serve(session: Session) -> Exit:
    _log(session)
    # Or else one sentence here, not one of each process.
    Sealer(session.settings.secrets_keys)
    if session.settings.traces_endpoint:
        tracing.check()
    serve(session.settings)
    return Exit.DONE


def _work(session: Session) -> Exit:
    """Work until a signal asks to stop; the work is done by another thread, which it interrupts."""
    _log(session)
    Sealer(session.settings.secrets_keys)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    if session.settings.traces_endpoint:
        tracing.start("provisioner-worker")
    worker = Worker(session.settings)
    gc.freeze()  # what is there by now stays, and need not be looked at by each collection
    thread = threading.Thread(target=_run_and_tell, args=(worker,))
    thread.start()
    with _listening(session.settings):
        # No timeout: one that runs out while the process is suspended would look like a signal.
        signal.sigwait(signals)
        worker.stop()
        thread.join()
    tracing.stop()
    return Exit.DONE


def _run_and_tell(worker: Worker) -> None:
    """Work; whoever waits for a signal to stop must not wait for ever if it ends by itself."""
    try:
        worker.run()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _listening(settings: Settings) -> Iterator[None]:
    """Show what the worker counts, where there is a port for it."""
    port, token = settings.worker_http_port, settings.metrics_token
    listener = Listener(settings.http_address, port, WORKER, token) if port else None
    try:
        yield
    finally:
        if listener is not None:
            listener.close()


def _migrate(session: Session) -> Exit:
    _log(session)
    if session.options.roles:
        make_roles(session.settings)
        session.output.say("the roles are there")
        return Exit.DONE
    applied = migrate(session.settings)
    done = f"applied {', '.join(applied)}" if applied else "the database is up to date"
    session.output.say(done)
    return Exit.DONE


def _init_token(session: Session) -> Exit:
    """Keep a token that still works, so that a second start changes nothing."""
    path: Path = session.options.file
    with session.transaction() as connection:
        if path.exists() and _is_valid(connection, path.read_text(encoding="utf-8").strip()):
            return Exit.DONE
        _, token = create_token(connection, session.actor, NewToken("Admin", Role.ADMIN))
    _write_secret(path, token + "\n")
    return Exit.DONE


def _init_login(session: Session) -> Exit:
    """Make him where nobody can log in yet, so that a second start changes nothing."""
    path: Path = session.options.file
    with session.transaction() as connection:
        if login_store.anybody(connection):
            return Exit.DONE
        realm = store.realm(connection)
        email = f"admin@{realm}" if "." in realm else f"admin@{realm}.invalid"
        user = login_store.operators(connection, email) or create_user(
            connection, session.actor, email=email, name="Admin", role=Role.ADMIN
        )
        password = passwords.generated()
        logins.set_password(connection, session.actor, user, password)
        _write_secret(path, f"{email}\n{password}\n")
    return Exit.DONE


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _is_valid(connection: Connection, token: str) -> bool:
    return bool(token) and tenancy_store.token(connection, token_digest(token)) is not None
