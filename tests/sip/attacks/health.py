"""How a Kamailio is: which processes it consists of, and how much memory they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.kamailio import KamailioNode


@dataclass(frozen=True)
class Health:
    """Its processes, and bytes in use: shared by all, and private to each process."""

    processes: frozenset[int]
    shared: int
    private: dict[int, int]

    @classmethod
    def of(cls, kamailio: KamailioNode) -> Health:
        """Ask it; raises `NodeUnavailable` where nobody answers any more."""
        processes = frozenset(one["PID"] for one in kamailio.call("core.psx"))
        private = {one["pid"]: one["used"] for one in kamailio.call("pkg.stats")}
        return cls(processes, kamailio.call("core.shmmem")["used"], private)

    def growth(self, before: Health) -> float:
        """By which part the memory has grown: the shared one, or that of the worst process."""
        shared = self.shared / before.shared
        private = [used / before.private.get(pid, used) for pid, used in self.private.items()]
        return max(shared, *private) - 1


def is_calm(kamailio: KamailioNode) -> bool:
    """Whether no transaction and no call is held in memory."""
    return not kamailio.dialogs() and kamailio.call("tm.stats")["current"] == 0
