"""Linphone, which knows nothing but the address of its settings."""

from pathlib import Path

from tests.sip.clients import Credentials, Linphone
from tests.system import Place

_CONFIG = """\
[sip]
bind_address={source}
sip_port={port}
sip_tcp_port=0
sip_tls_port=0
use_ipv6=0

[net]
dns_srv_enabled=0

[misc]
config-uri={address}
"""


class ProvisionedLinphone(Linphone):
    """linphone-daemon as the app is after it has scanned a code: it takes the rest from there."""

    def __init__(self, place: Place, address: str) -> None:
        super().__init__(place.registrar, Credentials("", "", ""), place.client)
        self._address = address

    def configuration(self) -> str:
        """What it has kept of its settings, after it has ended."""
        self._halt()
        return (Path(self._folder.name) / "linphonerc").read_text(encoding="utf-8")

    def _config(self) -> str:
        return _CONFIG.format(source=self.source, port=self.port, address=self._address)
