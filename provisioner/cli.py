"""The command line: `provisioner COMMAND`."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from provisioner import comparison, db, sync_store, tenancy_store
from provisioner.access import Role, Via, system_actor
from provisioner.credentials import token_digest
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, ProvisionerError, RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.migrate import migrate
from provisioner.model import Node
from provisioner.reconcile import Limits, Repair
from provisioner.sealing import Sealer
from provisioner.server import serve
from provisioner.settings import Settings, load_settings
from provisioner.users import NewToken, create_token
from provisioner.worker import Worker


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it did what it says, 1 with one sentence when it could not."""
    options = _parser().parse_args(arguments)
    serving = options.command in (_serve, _work, _migrate)
    logging.basicConfig(
        level=logging.INFO if serving else logging.CRITICAL,  # others say what they do themselves
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        result: int = options.command(load_settings(), options)
    except ProvisionerError as error:
        print(f"provisioner: {error.detail}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="provisioner", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    add("serve", _serve, "Serve the HTTP API.")
    add("worker", _work, "Keep Kamailio in step with the accounts.")
    add("migrate", _migrate, "Bring the database up to date.")
    token = add("init-token", _init_token, "Write the Admin's API token, if it is not there.")
    token.add_argument("--file", type=Path, required=True, help="where it goes, mode 0600")
    sync = add("sync", _sync, "Compare Kamailio with the accounts, and print what differs.")
    sync.add_argument("--apply", action="store_true", help="put right what differs")
    sync.add_argument("--force", action="store_true", help="also where that deletes many rows")
    forget = add("forget-node", _forget_node, "Stop waiting for a Kamailio node that is gone.")
    forget.add_argument("name")
    return parser


def _say(line: object) -> None:
    print(line)  # noqa: T201 - a command's answer


def _serve(settings: Settings, _: argparse.Namespace) -> int:
    Sealer(settings.secrets_keys)  # or else one sentence here, instead of one for each process
    serve(settings)
    return 0


def _work(settings: Settings, _: argparse.Namespace) -> int:
    """Work until a signal asks to stop; the work is done by another thread, which it interrupts."""
    Sealer(settings.secrets_keys)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    worker = Worker(settings)
    thread = threading.Thread(target=worker.run)
    thread.start()
    while thread.is_alive():
        if signal.sigtimedwait(signals, 1.0):
            worker.stop()
            thread.join()
    return 0


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    applied = migrate(settings)
    _say(f"applied {', '.join(applied)}" if applied else "the database is up to date")
    return 0


def _init_token(settings: Settings, options: argparse.Namespace) -> int:
    """Keep a token that still works, so that a second start changes nothing."""
    path: Path = options.file
    with db.connect(settings.database_url) as connection, db.translated_errors():
        if path.exists() and _is_valid(connection, path.read_text(encoding="utf-8").strip()):
            return 0
        actor = system_actor(Via.CLI, "init-token")
        _, token = create_token(connection, actor, NewToken("Admin", Role.ADMIN))
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    return 0


def _is_valid(connection: Connection, token: str) -> bool:
    return bool(token) and tenancy_store.token(connection, token_digest(token)) is not None


def _sync(settings: Settings, options: argparse.Namespace) -> int:
    """Print the plan; with --apply, do it. 1 where a node could not be asked."""
    limits = None if options.force else Limits(settings.delete_share, settings.delete_floor)
    url = settings.database_url
    with db.connect(url, autocommit=True) as connection, db.translated_errors():
        plan, present = comparison.plan_tables(connection)
        unasked = 0
        for node in sync_store.nodes(connection):
            try:
                plan += _plan_node(connection, node, settings.rpc_token)
            except (NodeUnavailable, RpcFailed) as error:
                _say(f"{node.name}: {error.detail}")
                unasked += 1
        for one in plan:
            _say(one)
        if options.apply:
            _say(f"{len(comparison.repair(connection, plan, present, limits))} repaired")
        elif plan:
            _say(f"{len(plan)} to repair; run again with --apply")
        else:
            _say("nothing to repair")
    return 1 if unasked else 0


def _plan_node(connection: Connection, node: Node, rpc_token: str) -> list[Repair]:
    kamailio = KamailioNode(node.rpc_url, rpc_token)
    try:
        return comparison.plan_node(connection, node, kamailio)
    finally:
        kamailio.close()


def _forget_node(settings: Settings, options: argparse.Namespace) -> int:
    with db.connect(settings.database_url) as connection, db.translated_errors():
        if not sync_store.delete_node(connection, options.name):
            raise ProvisionerError(f"There is no node named {options.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
