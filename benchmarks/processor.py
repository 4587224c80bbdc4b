"""Processor time: what a server used, and how much of the machine others used meanwhile."""

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

from provisioner.stack.processes import family

TICKS = os.sysconf("SC_CLK_TCK")  # kernel's units a second
IDLE_COLUMNS = (3, 4)  # idle and iowait in the first line of /proc/stat


def used_by(pid: int) -> float:
    """Return the processor seconds of a process and all below it, ended ones included."""
    return sum(_seconds(member) for member in family(pid))


class Noise:
    """Measures what share of the machine's processors others use, from its making on."""

    def __init__(self) -> None:
        self._start = (time.monotonic(), _busy(), _ours())

    def __str__(self) -> str:
        began, busy, ours = self._start
        others = _busy() - busy - (_ours() - ours)
        room = (time.monotonic() - began) * (os.cpu_count() or 1)
        return (
            f"other programs used {max(0.0, others) / room:.0%} of {os.cpu_count()} processors; "
            f"load average {os.getloadavg()[0]:.1f}"
        )


def _ours() -> float:
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_seconds(pid) for pid in family(os.getpid()) if pid != os.getpid())
    return time.process_time() + reaped.ru_utime + reaped.ru_stime + living


def _busy() -> float:
    text = Path("/proc/stat").read_text(encoding="ascii")
    columns = [int(ticks) for ticks in text.splitlines()[0].split()[1:9]]
    return sum(ticks for i, ticks in enumerate(columns) if i not in IDLE_COLUMNS) / TICKS


def _seconds(pid: int) -> float:
    """Return user and system time of a process and of those children that it has waited for."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return sum(int(ticks) for ticks in text.rpartition(")")[2].split()[11:15]) / TICKS
    return 0.0
