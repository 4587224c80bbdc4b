"""`provisioner nodes …`: the Kamailio nodes join, drain, and go."""

import argparse
import math
import time
from collections.abc import Callable

from provisioner import nodes, sync_store
from provisioner.api.bodies import AnyNodeBody
from provisioner.api.views import NodeView
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, positive
from provisioner.cli.session import Session
from provisioner.model import Node

COLUMNS = (
    *("name", "state", "converged", "pending", "draining", "dialogs"),
    *("last_seen_at", "last_compared_at"),
)
LOOK = 0.2  # seconds between two looks at what is awaited
JOINING = 60.0  # seconds that a node may take, unless told otherwise


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    group = Commands(
        commands.add("nodes", _list, "List the Kamailio nodes as their worker last saw them."),
        required=False,
    )
    group.add("list", _list, "The same.")
    add = _add_one(group, "add", _add, "Have a node join, and wait until it obeys.")
    add.add_argument("rpc_url", metavar="RPC_URL", help="like http://10.0.0.12:8090/rpc")
    _add_wait(add, JOINING, f"at the most so long ({JOINING:g}; 0: not at all)", type=_seconds)
    drain = _add_one(group, "drain", _drain, "Have a node take nothing new; its calls go on.")
    text = "until its last call has ended, or so long"
    _add_wait(drain, None, text, nargs="?", const=math.inf, type=positive)
    _add_one(group, "resume", _resume, "Have a node take registrations and calls again.")
    _add_one(group, "forget", _forget, "Stop waiting for a node that is gone.")
    _add_one(commands, "forget-node", _forget, "The former name of `nodes forget`.")


def _add_one(
    group: Commands, name: str, command: Callable[[Session], Exit], text: str
) -> argparse.ArgumentParser:
    parser = group.add(name, command, text)
    parser.add_argument("name", metavar="NAME")
    return parser


def _add_wait(
    parser: argparse.ArgumentParser, default: float | None, text: str, **more: object
) -> None:
    parser.add_argument("--wait", metavar="SECONDS", default=default, help=text, **more)  # type: ignore[arg-type] # argparse's own keywords


def _seconds(text: str) -> int:
    return 0 if text == "0" else positive(text)


def _list(session: Session) -> Exit:
    with session.transaction() as connection:
        found = sync_store.nodes(connection)
    session.output.many([NodeView.of(node) for node in found], COLUMNS, more=False)
    return Exit.DONE


def _add(session: Session) -> Exit:
    options = session.options
    new = AnyNodeBody.model_validate({"name": options.name, "rpc_url": options.rpc_url})
    with session.transaction() as connection:
        node = nodes.add(connection, session.actor, new.name, new.rpc_url)
    return _tell(session, _awaited(session, node, joined, joining), joined)


def _drain(session: Session) -> Exit:
    node = _set_draining(session, draining=True)
    with session.transaction() as connection:
        others = [one for one in sync_store.nodes(connection) if one.name != node.name]
    if not any(one.state == "up" and not one.draining for one in others):
        session.output.say("No other node takes calls: only those for help are taken now.")
    return _tell(session, _awaited(session, node, drained, emptying), drained)


def _resume(session: Session) -> Exit:
    session.output.one(NodeView.of(_set_draining(session, draining=False)))
    return Exit.DONE


def _set_draining(session: Session, *, draining: bool) -> Node:
    with session.transaction() as connection:
        name = session.options.name
        return nodes.set_draining(connection, session.actor, name, draining=draining)


def _forget(session: Session) -> Exit:
    with session.transaction() as connection:
        nodes.forget(connection, session.actor, session.options.name)
    session.output.say("The node is forgotten.")
    if session.options.name in session.settings.nodes:
        session.output.say("Take it out of KAMAILIO_NODES, or the next worker adds it again.")
    if session.output.as_json:
        session.output.data({"name": session.options.name, "forgotten": True})
    return Exit.DONE


def _tell(session: Session, node: Node, reached: Callable[[Node], bool]) -> Exit:
    session.output.one(NodeView.of(node))
    return Exit.IN_PART if session.options.wait and not reached(node) else Exit.DONE


def _awaited(
    session: Session,
    node: Node,
    reached: Callable[[Node], bool],
    doing: Callable[[Node], str],
) -> Node:
    """Look until a node is where it shall be, or the time is over, and say what it does meanwhile.

    Raises:
        NotFound: somebody has it forgotten.
    """
    deadline = time.monotonic() + (session.options.wait or 0)
    said = ""
    while not reached(node) and time.monotonic() < deadline:
        if doing(node) != said:
            said = doing(node)
            session.output.say(f"{node.name}: {said}")
        time.sleep(LOOK)
        with session.transaction() as connection:
            node = nodes.read(connection, node.name)
    return node


def joined(node: Node) -> bool:
    """Say whether a node has all that it has to."""
    return node.converged


def drained(node: Node) -> bool:
    """Say whether a node is empty."""
    return node.drained


def joining(node: Node) -> str:
    """Say what a node does that is not converged."""
    if node.last_seen_at is None:
        return _unseen(node)
    if node.state == "catching_up":
        return "answers, and is compared with what it ought to have"
    if node.state == "up":
        return f"is put right: {node.pending} to be confirmed"
    return _unseen(node)


def emptying(node: Node) -> str:
    """Say what a node does that is not drained."""
    if node.state in ("away", "unwatched"):
        return _unseen(node)
    if node.dialogs is None:
        return "does not tell how many calls it has"
    if node.dialogs:
        return f"calls in progress: {node.dialogs}"
    return "no calls in progress; takes nothing new in a moment"


def _unseen(node: Node) -> str:
    return (node.state == "away" and node.last_error) or "no worker looks at it"
