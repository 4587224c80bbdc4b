"""`provisioner calls` and `provisioner call-policy …`."""

import argparse

from provisioner import call_policies, listings
from provisioner.api.bodies import CallPolicyPatch
from provisioner.api.call_policies import CallPolicyView
from provisioner.api.calls import LiveCallView
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, add_account, add_limit, given, positive
from provisioner.cli.session import Session
from provisioner.errors import InvalidInput

COLUMNS = ("id", "direction", "caller", "called", "state", "started_at", "answered_at", "node")
SETTABLE = ("allowed_prefixes", "blocked_prefixes", "daily_spend_cap", "calls_per_second")


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    lists = commands.add("calls", _list, "List an account's calls in progress.")
    add_account(lists)
    add_limit(lists)
    group = commands.group("call-policy", "What a project's accounts may call.")
    _add_project(group.add("show", _show, "Show a project's call policy."))
    change = group.add("set", _set, "Change a project's call policy.")
    _add_project(change)
    for name, text in (("allowed", "only these, where there are any"), ("blocked", "never these")):
        change.add_argument(f"--{name}-prefixes", nargs="*", metavar="PREFIX", help=text)
    change.add_argument(
        "--daily-spend-cap", metavar="EURO", help="of all its calls of a day; '' for none"
    )
    change.add_argument("--calls-per-second", type=positive, metavar="N", help="of each account")


def _add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=positive, metavar="PROJECT", help="its id")


def _list(session: Session) -> Exit:
    with session.transaction() as connection:
        account = session.account(connection)
    session.list(listings.LIVE_CALLS, LiveCallView.of, COLUMNS, account=account.id)
    return Exit.DONE


def _show(session: Session) -> Exit:
    with session.transaction() as connection:
        policy = call_policies.read(connection, session.actor, session.options.project)
    session.output.one(CallPolicyView.of(policy))
    return Exit.DONE


def _set(session: Session) -> Exit:
    fields = given(session.options, *SETTABLE)
    if not fields:
        raise InvalidInput("options", "must name something to change; see --help")
    if fields.get("daily_spend_cap") == "":
        fields["daily_spend_cap"] = None
    changes = CallPolicyPatch.model_validate(fields).given()
    with session.transaction() as connection:
        policy = call_policies.change(connection, session.actor, session.options.project, changes)
    session.output.one(CallPolicyView.of(policy))
    return Exit.DONE
