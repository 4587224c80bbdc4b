"""Start one of SIPVicious' tools: TOOL SOURCE USER_AGENT ARGUMENT...

Run as a script in a process of its own. Three things that its options cannot do: calling itself
something else than "friendly-scanner", which servers drop on sight; sending from a given address
(its --bindingip is read and not used in 0.3.8); and not waiting 10 s for a last answer.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

PATIENCE = 2.0
"""Seconds to wait for an answer."""
SCANNERS = {"svwar": "TakeASip", "svcrack": "ASipOfRedWine"}


def main() -> None:
    """Change the tool's defaults, then be it."""
    tool, source, user_agent = sys.argv[1:4]
    helper: Any = importlib.import_module("sipvicious.libs.svhelper")
    # Before the tool's module is imported, which takes the function by name.
    helper.makeRequest = functools.partial(helper.makeRequest, useragent=user_agent)
    module: Any = importlib.import_module(f"sipvicious.{tool}")
    scanner = getattr(module, SCANNERS[tool])

    def bound(*args: object, **options: object) -> Any:
        made = scanner(*args, bindingip=source, **options)
        made.sock.settimeout(PATIENCE)
        return made

    setattr(module, SCANNERS[tool], bound)
    sys.argv = [tool, *sys.argv[4:]]
    module.main()


if __name__ == "__main__":
    main()
