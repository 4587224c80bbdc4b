"""`make phones`: keeps phones registered at all nodes of a running system, and tells each second
what the nodes know of them.

The accounts are imported first, and stay. Each node has its share of the phones, which SIPp
registers again and again; where nodes share their bindings each of them knows all phones. Ctrl-C,
or SECONDS, ends it with the figures. Nodes may be stopped, killed and started meanwhile.
"""

import argparse
import csv
import io
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pyrage

from benchmarks.load import scenario, start_sipp, user_row, write_rows
from provisioner.credentials import Secret
from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.registrations import aor_of
from provisioner.settings import Settings, load_settings
from provisioner.stack.nodes import PORT_STEP

SOURCE = "127.0.20.1"
PERIOD = 30  # seconds between two registrations of a phone
LOOK = 1.0  # seconds between two looks at the nodes
ACCOUNT_COLUMNS = "name,main_number,voice_channels,state"


@dataclass
class Tally:
    """What became of the phones: registrations that were accepted and not, and for how long (s) the
    one that was worst off was known to no node.
    """

    accepted: int = 0
    failed: int = 0
    longest_lost: float = 0.0
    seen: dict[str, float] = field(default_factory=dict)

    def look(self, aors: Sequence[str], known: set[str]) -> int:
        """Take note of who is known to some node now, and return how many are to none."""
        now = time.monotonic()
        lost = [aor for aor in aors if aor in self.seen and aor not in known]
        self.seen |= dict.fromkeys(known.intersection(aors), now)
        away = [now - self.seen[aor] for aor in lost]
        self.longest_lost = max([self.longest_lost, *away])
        return len(lost)


def main() -> int:
    """Do as the command line says; 1 where a phone was lost for longer than a period."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phones", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    environ = _environment(Path(os.environ.get("VAR_DIR", "var")) / "environment")
    settings = load_settings(environ)
    with tempfile.TemporaryDirectory(prefix="phones-") as folder:
        phones = _import(environ, Path(folder), options.count)
        print(
            f"{len(phones)} accounts imported; their phones register every {PERIOD} s", flush=True
        )
        tally = _use(settings, phones, Path(folder), options.seconds)
    print(
        f"registrations: {tally.accepted} accepted, {tally.failed} failed\n"
        f"longest that a registered phone was known to no node: {tally.longest_lost:.0f} s"
    )
    return 1 if tally.longest_lost > PERIOD else 0


def say(line: str) -> None:
    """Print at once: others may be reading."""
    print(line, flush=True)


def _use(settings: Settings, phones: Sequence[Secret], folder: Path, seconds: float) -> Tally:
    """Keep the phones registered until the time is over, or somebody has enough of it."""
    tally, stopping = Tally(), threading.Event()
    shares = [phones[at :: len(settings.nodes)] for at in range(len(settings.nodes))]
    threads = [
        threading.Thread(target=_register, args=(settings, at, share, folder, tally, stopping))
        for at, share in enumerate(shares)
    ]
    for thread in threads:
        thread.start()
    try:
        _watch(settings, phones, tally, time.monotonic() + seconds)
    except KeyboardInterrupt:
        pass
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    return tally


def _watch(settings: Settings, phones: Sequence[Secret], tally: Tally, until: float) -> None:
    """Print a line a second."""
    aors = [aor_of(phone.username, phone.realm) for phone in phones]
    nodes = {
        name: KamailioNode(url, settings.rpc_token, timeout=LOOK)
        for name, url in settings.nodes.items()
    }
    while time.monotonic() < until:
        known = {name: _known(node) for name, node in nodes.items()}
        told = [
            f"{name} {'away' if them is None else len(them.intersection(aors))}"
            for name, them in known.items()
        ]
        lost = tally.look(aors, set().union(*filter(None, known.values())))
        say(
            f"{time.strftime('%H:%M:%S')}  {', '.join(told)}; to no node {lost};"
            f" registrations {tally.accepted}, failed {tally.failed}"
        )
        time.sleep(LOOK)
    for node in nodes.values():
        node.close()


def _known(node: KamailioNode) -> set[str] | None:
    """Return the AORs that a node knows; None where it does not answer."""
    try:
        with closing(node):
            return set(node.aors())
    except (NodeUnavailable, RpcFailed):
        return None


def _register(
    settings: Settings,
    at: int,
    phones: Sequence[Secret],
    folder: Path,
    tally: Tally,
    stopping: threading.Event,
) -> None:
    """Have SIPp register these phones at the node again and again, within a period each time."""
    users = folder / f"users-{at}.csv"
    write_rows(users, [user_row(phone) for phone in phones])
    target = f"{settings.sip_address}:{settings.sip_port + PORT_STEP * at}"
    while not stopping.is_set():
        ends = time.monotonic() + PERIOD
        statistics = folder / f"statistics-{at}.csv"
        statistics.unlink(missing_ok=True)
        argv = ["sipp", target, *scenario("register"), "-inf", str(users), "-i", SOURCE]
        argv += ["-m", str(len(phones)), "-r", str(max(1, len(phones) * 4 // (PERIOD * 3)))]
        argv += ["-max_non_invite_retrans", "3", "-recv_timeout", "5000", "-nostdin"]
        argv += ["-timeout", f"{PERIOD}s", "-default_behaviors", "all,-bye"]
        argv += ["-trace_stat", "-stf", str(statistics), "-fd", "1"]
        sipp = start_sipp(argv, folder)
        while sipp.poll() is None and not stopping.wait(0.1):
            pass
        sipp.kill()
        sipp.wait()
        _count(statistics, tally)
        stopping.wait(max(0.0, ends - time.monotonic()))


def _count(statistics: Path, tally: Tally) -> None:
    """Add what a run of SIPp has counted."""
    if not statistics.exists():
        return
    with statistics.open(encoding="ascii") as file:
        lines = list(csv.DictReader(file, delimiter=";"))
    if lines:
        tally.accepted += int(lines[-1]["SuccessfulCall(C)"])
        tally.failed += int(lines[-1]["FailedCall(C)"])


def _environment(path: Path) -> dict[str, str]:
    """Read what `make run` leaves for a shell."""
    if not path.exists():
        sys.exit(f"{path} is not there: `make run` makes it, in another terminal.")
    words = shlex.split(path.read_text(encoding="utf-8"))
    pairs = (word.partition("=") for word in words if word != "export")
    return {name: value for name, _, value in pairs}


def _import(environ: Mapping[str, str], folder: Path, count: int) -> list[Secret]:
    """Import that many enabled accounts, on numbers that are new, and return their secrets."""
    first = int(time.time()) % 1_000_000
    numbers = [f"+3905{first:06d}{at:05d}" for at in range(count)]
    identity = pyrage.x25519.Identity.generate()
    passwords = folder / "passwords.age"
    options = ["--recipient", str(identity.to_public()), "--output", str(passwords)]
    _provisioner(environ, folder, "numbers", ["number", *numbers])
    lines = [ACCOUNT_COLUMNS, *(f"Phone {number},{number},2,enabled" for number in numbers)]
    _provisioner(environ, folder, "accounts", lines, options)
    text = pyrage.decrypt(passwords.read_bytes(), [identity]).decode()
    return list(_secrets(text))


def _secrets(text: str) -> Iterator[Secret]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Secret(row["username"], row["realm"], row["password"], "", "")


def _provisioner(
    environ: Mapping[str, str],
    folder: Path,
    kind: str,
    lines: Sequence[str],
    options: Sequence[str] = (),
) -> None:
    path = folder / f"{kind}.csv"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    program = Path(sys.executable).with_name("provisioner")
    command = [str(program), "import", kind, str(path), *options]
    subprocess.run(command, env={**os.environ, **environ}, check=True)


if __name__ == "__main__":
    sys.exit(main())
