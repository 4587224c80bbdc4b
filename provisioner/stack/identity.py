"""Under which user a process runs, and that it does not outlive us.

Root's processes should not be root's: PostgreSQL refuses it, Kamailio reads what strangers send.
Their own users may lack the way into root's directories, so they get the one capability that
opens it, and only where it is needed.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# In order of preference: containers often lack the first.
CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


def tied_to_us(argv: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """Return the command, extended so that the kernel signals it when its starter dies.

    A change of user undoes that, so it has to come before.
    """
    return ["setpriv", "--pdeathsig", death_signal.name.removeprefix("SIG"), *argv]


def as_user(user: str, argv: Sequence[str], *, reads: Sequence[Path]) -> list[str]:
    """Return the command, extended to run as `user` if we are root; else the command itself.

    `reads` are the files and directories that it must be able to reach.
    """
    if os.geteuid() != 0:
        return list(argv)
    switch = _switch_to(user)
    for capability in _attempts():
        prefix = [*switch, *capability]
        if all(_reaches(prefix, path) for path in reads):
            return [*prefix, *argv]
    return [*switch, *argv]


def _switch_to(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _attempts() -> Iterator[list[str]]:
    yield []
    permitted = _permitted_capabilities()
    for name, bit in CAPABILITIES.items():
        if permitted & (1 << bit):
            yield [f"--inh-caps=+{name}", f"--ambient-caps=+{name}"]


def _permitted_capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def _reaches(prefix: Sequence[str], path: Path) -> bool:
    """Try to open it: `test -r` would ignore the capability."""
    command = [*prefix, "sh", "-c", ': <"$1"', "sh", os.fspath(path)]
    answer = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)  # noqa: S603 - ours
    return answer.returncode == 0
