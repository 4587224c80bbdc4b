"""`provisioner after-restore`: what a restored database needs before the service starts on it."""

from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands
from provisioner.cli.session import Session
from provisioner.recovery import forget_cluster


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    text = "Make a restored database forget the nodes, bindings and calls of its old cluster."
    restored = commands.add("after-restore", _after_restore, text, json=False)
    restored.add_argument(
        "--rehearsal", action="store_true", help="also send no webhooks: the real system does"
    )


def _after_restore(session: Session) -> Exit:
    rehearsal = session.options.rehearsal
    found = forget_cluster(session.settings, session.actor, rehearsal=rehearsal)
    say = session.output.say
    say(
        f"forgotten: {found.nodes} nodes with their pending work, {found.bindings} bindings,"
        f" calls of {found.calls} nodes, {found.sessions} logins"
    )
    if rehearsal:
        say(f"silenced: {found.endpoints} webhook endpoints")
    say(f"sealed secrets: {found.sealed}, of which SECRETS_KEY does not open {found.unreadable}")
    return Exit.IN_PART if found.unreadable else Exit.DONE
