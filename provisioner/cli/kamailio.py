"""`provisioner sync`, `reload-tls`, `diagnose`: Kamailio's side."""

from collections.abc import Mapping, Sequence

from provisioner import comparison, db, sync_store
from provisioner.api.diagnosis import diagnosed
from provisioner.cli.exits import Exit
from provisioner.cli.output import Output
from provisioner.cli.parsing import Commands, add_account
from provisioner.cli.session import Session
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.model import Node
from provisioner.reconcile import Limits, Repair

REPAIR = ("action", "target", "key", "detail")


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    sync = commands.add(
        "sync", _sync, "Compare Kamailio with the accounts, and print what differs."
    )
    sync.add_argument("--apply", action="store_true", help="put right what differs")
    sync.add_argument("--force", action="store_true", help="also where that deletes many rows")
    add_account(commands.add("diagnose", _diagnose, "Answer why a phone cannot register or call."))
    commands.add("reload-tls", _reload_tls, "Have the Kamailio nodes read their certificates anew.")


def _sync(session: Session) -> Exit:
    """Print the plan; with --apply, do it."""
    settings, options = session.settings, session.options
    limits = None if options.force else Limits(settings.delete_share, settings.delete_floor)
    url = settings.database_url
    with db.translated_errors(), db.connect(url, autocommit=True) as connection:
        plan, present = comparison.plan_tables(connection)
        unasked = {}
        for node in sync_store.nodes(connection):
            try:
                plan += _plan_node(connection, node, settings.rpc_token)
            except (NodeUnavailable, RpcFailed) as error:
                unasked[node.name] = error.detail
        _tell_plan(session.output, plan, unasked)
        repaired = None
        if options.apply:
            repaired = comparison.repair(connection, plan, present, limits, session.actor)
    _tell_outcome(session.output, plan, unasked, repaired)
    return Exit.FAILED if unasked else Exit.DONE


def _tell_plan(output: Output, plan: Sequence[Repair], unasked: Mapping[str, str]) -> None:
    for name, why in unasked.items():
        output.say(f"{name}: {why}")
    for one in plan:
        output.say(one)


def _tell_outcome(
    output: Output,
    plan: Sequence[Repair],
    unasked: Mapping[str, str],
    repaired: Sequence[Repair] | None,
) -> None:
    if output.as_json:
        shown = [{name: getattr(one, name) for name in REPAIR} for one in plan]
        done = None if repaired is None else len(repaired)
        output.data({"plan": shown, "unavailable_nodes": dict(unasked), "repaired": done})
    elif repaired is not None:
        output.say(f"{len(repaired)} repaired")
    elif plan:
        output.say(f"{len(plan)} to repair; run again with --apply")
    else:
        output.say("nothing to repair")


def _plan_node(connection: Connection, node: Node, rpc_token: str) -> list[Repair]:
    kamailio = KamailioNode(node.rpc_url, rpc_token)
    try:
        return comparison.plan_node(connection, node, kamailio)
    finally:
        kamailio.close()


def _reload_tls(session: Session) -> Exit:
    """Tell each node, also after one that could not; connections that are open go on."""
    with session.transaction() as connection:
        nodes = sync_store.nodes(connection)
    failed = {}
    for node in nodes:
        kamailio = KamailioNode(node.rpc_url, session.settings.rpc_token)
        try:
            kamailio.reload_certificates()
        except (NodeUnavailable, RpcFailed) as error:
            failed[node.name] = error.detail
        finally:
            kamailio.close()
    if session.output.as_json:
        done = [node.name for node in nodes if node.name not in failed]
        session.output.data({"reloaded": done, "failed": failed})
    else:
        for node in nodes:
            session.output.say(f"{node.name}: {failed.get(node.name, 'reloaded')}")
    return Exit.FAILED if failed else Exit.DONE


def _diagnose(session: Session) -> Exit:
    """Say it in one sentence each, then what was looked at."""
    with session.transaction() as connection:
        account = session.account(connection)
        view = diagnosed(connection, account, session.settings.rpc_token)
    if session.output.as_json:
        session.output.data(view.shown())
        return Exit.DONE
    session.output.say(f"{account.name} ({account.main_number}): {view.detail}")
    session.output.say(f"Calls: {view.call_detail}")
    findings = [one.shown() for one in (*view.findings, *view.call_findings)]
    session.output.rows(findings, ("ok", "code", "detail"))
    return Exit.DONE
