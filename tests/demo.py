"""`make demo`: the story of one account, told as it happens, with real components.

PostgreSQL, Kamailio, the API and the worker run in a directory of their own on free ports; the
phone is baresip. What is printed is what was seen; what differs from the story ends it.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner.errors import ProvisionerError
from provisioner.kamailio import KamailioNode
from provisioner.registrations import aor_of
from provisioner.stack import Stack, StackError
from tests.sip.clients import Baresip, ClientError
from tests.system import Line, System, native_system

KICK_DEADLINE = 10.0  # seconds until a disabled account's binding must have gone
KICK_POLL = 0.001  # seconds between two looks at the node: what the figure is exact to


class StoryBroken(Exception):
    """Something was not as the story has it."""


def main() -> int:
    """Tell the story; 0 if all of it came true."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run()
    except KeyboardInterrupt:
        return 130
    except (StoryBroken, StackError, ClientError, ProvisionerError, AssertionError) as error:
        sys.stderr.write(f"The story broke: {error}\n")
        return 1
    return 0


def _run() -> None:
    say("The system starts in a directory of its own:")
    with (
        tempfile.TemporaryDirectory(prefix="provisioner-demo-") as directory,
        Stack(Path(directory), report=lambda step: say(f"  {step}")) as stack,
    ):
        say("")
        tell(stack, native_system(stack), Narrator())


class Narrator:
    """Numbers the lines and says when, in seconds since the story began, each thing was seen."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._line = 0

    def __call__(self, what: str, seen: str) -> None:
        """Print one line."""
        self._line += 1
        say(f"{self._line:>2}  {time.monotonic() - self._began:6.3f} s  {what:<10}  {seen}")


def tell(stack: Stack, system: System, line: Narrator) -> None:
    """Lead one account through its life."""
    account = system.new_line(enabled=False)
    line("created", f"account {account.id} on {account.number}, {account.read()['state']}")

    place = system.internet
    with Baresip(place.registrar, account.credentials, place.client) as phone:
        line("refused", refusal(phone, account))
        line("enabled", f"the account is {account.enable()['state']}")
        line("registered", registration(phone, account))
        line("converged", convergence(account.read()))
        milliseconds = kick(stack, system, account, lambda seen: line("disabled", seen))
        line("kicked", f"Kamailio's binding is gone {milliseconds:.1f} ms after the request")
        line("refused", refusal(phone, account))

    system.api.delete(account.path, wait=10).expect(204)
    status = system.api.get(account.path).status
    expect(status == 404, f"the deleted account answers {status}")
    line("deleted", f"GET {account.path} answers {status}")
    number = system.api.get(f"/numbers/{account.number}").expect(200)
    expect(number["account_id"] is None, f"the number is still taken: {number}")
    line("free", f"{number['number']} is {number['state']} and linked to no account")


def refusal(phone: Baresip, account: Line) -> str:
    """Have the phone try, and say how it was refused."""
    outcome = phone.register()
    expect(outcome.status == 403, f"403 was expected, the phone got {outcome}")
    expect(not account.bindings(), "a refused phone has a binding")
    return f"{phone.name} at {phone.source}: {outcome.status} {outcome.reason}"


def registration(phone: Baresip, account: Line) -> str:
    """Have the phone register, and say what the API shows of it."""
    outcome = phone.register()
    expect(outcome.accepted, f"200 was expected, the phone got {outcome}")
    bindings = account.bindings()
    expect(len(bindings) == 1, f"one binding was expected: {bindings}")
    binding = bindings[0]
    expect(binding["source"].startswith(f"{phone.source}:"), f"bound from elsewhere: {binding}")
    return f"{binding['user_agent']} from {binding['source']}, bound on {binding['node']}"


def convergence(account: Any) -> str:
    """Say on how many nodes the account's present generation is live."""
    shown = account["convergence"]
    expect(shown["converged"] and shown["nodes_total"] > 0, f"not converged: {shown}")
    return (
        f"generation {shown['generation']} live on {shown['nodes_converged']} of "
        f"{shown['nodes_total']} nodes since {shown['since']}"
    )


def kick(stack: Stack, system: System, account: Line, disabled: Callable[[str], None]) -> float:
    """Disable the account; return how many ms later its binding has gone from the node's memory.

    The node itself is asked, from the request's answer on.
    """
    node = KamailioNode(stack.rpc_url, stack.rpc_token)
    aor = aor_of(account.credentials.username, system.realm)
    expect(bool(node.bindings(aor)), "there is no binding to drop")
    began = time.monotonic()
    state = system.api.post(f"{account.path}/disable").expect(200)["state"]
    disabled(f"the account is {state}")
    while node.bindings(aor):
        expect(time.monotonic() - began < KICK_DEADLINE, "the binding does not go")
        time.sleep(KICK_POLL)
    elapsed = time.monotonic() - began
    node.close()
    return elapsed * 1000


def expect(holds: bool, otherwise: str) -> None:
    """Go on only if the story holds.

    Raises:
        StoryBroken: it does not; says what was seen instead.
    """
    if not holds:
        raise StoryBroken(otherwise)


def say(text: str) -> None:
    """Print a line now."""
    print(text, flush=True)  # noqa: T201 - the story is told on the terminal


if __name__ == "__main__":
    sys.exit(main())
