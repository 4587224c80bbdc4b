"""linphone-daemon 5.1 (Debian 12) and 5.3 (Debian 13), both in the package linphone-cli."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .message import final_answer
from .model import Registration
from .phone import RunningPhone
from .process import Program

if TYPE_CHECKING:
    pass

# It takes an outgoing address for UDP only together with an explicit port.
_CONFIG = """\
[sip]
bind_address={source}
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port=0
use_ipv6=0
default_proxy=0

[net]
dns_srv_enabled=0

[misc]
uuid={device}

[auth_info_0]
username={user}
userid={user}
passwd={password}
realm={realm}

[proxy_0]
reg_proxy=<{registrar}>
reg_identity=sip:{user}@{realm}
reg_expires={expires}
reg_sendregister=1
publish=0
"""


class Linphone(RunningPhone):
    """linphone-daemon; the binding lives as long as the program, which takes it away.

    Over TCP it sends from an address of the system's choice, whatever `source` says.
    """

    name: ClassVar[str] = "linphone"
    farewell: ClassVar[str] = "quit"

    @property
    def user_agent(self) -> str:
        """The daemon sets no name of its own."""
        return "Unknown"

    def register(self, *, timeout: float = 10.0) -> Registration:
        """Start (anew if it runs) and wait until it says that it is registered or is not."""
        self._halt()
        started = time.monotonic()
        self._program = self._start()
        return self._wait("Ok|Failed", started, timeout, since=0)

    def unregister(self, *, timeout: float = 10.0) -> Registration:
        """Take the binding away; the program runs on."""
        program = self._running()
        started, since = time.monotonic(), program.mark()
        program.type("unregister 1")
        return self._wait("Cleared|Failed", started, timeout, since=since)

    def _wait(self, states: str, started: float, timeout: float, since: int) -> Registration:
        program = self._running()
        end = rf"moving from state \[\w+\] to \[LinphoneRegistration({states})\]"
        found = program.wait_for(end, timeout=timeout, since=since)
        output = program.output(since)
        why = "" if found is None else f"it says {found.group(1)}"
        return self._seen(final_answer(output) if found else None, started, why)

    def _start(self) -> Program:
        folder = Path(self._folder.name)
        # Without this folder for its database it starts, and never registers.
        (folder / ".local/share/linphone").mkdir(parents=True, exist_ok=True)
        config = folder / "linphonerc"
        config.write_text(self._config())
        config.chmod(0o600)
        command = [*self.run_in, "linphone-daemon", "--config", str(config), "--log", "/dev/stdout"]
        return Program(command, env=_home(folder), cwd=folder)

    def _config(self) -> str:
        udp = self.registrar.transport == "udp"
        return _CONFIG.format(
            source=self.source,
            udp=self.port if udp else 0,
            tcp=0 if udp else self.port,
            device=uuid.uuid4(),
            user=self.credentials.username,
            password=self.credentials.password,
            realm=self.credentials.realm,
            registrar=self.registrar.uri,
            expires=self.expires,
        )


def _home(folder: Path) -> dict[str, str]:
    places = {
        "HOME": "",
        "XDG_DATA_HOME": ".local/share",
        "XDG_CONFIG_HOME": ".config",
        # It looks for a sound server, and would leave a folder in /tmp each time.
        "XDG_RUNTIME_DIR": "",
        "PULSE_RUNTIME_PATH": "",
    }
    return {name: str(folder / path) for name, path in places.items()}
