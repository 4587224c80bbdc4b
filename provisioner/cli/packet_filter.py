"""Bans as a table of nftables, so that a flood ends before it costs a process anything.

The whole is one transaction, however often it is loaded. Each address leaves by itself when its ban
ends. Packets are looked at before they are routed, so that those for containers are among them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from provisioner.ban import Ban

SIPS_PORT = 5061
TABLE = """\
table inet provisioner_bans
delete table inet provisioner_bans
table inet provisioner_bans {{
	set ipv4 {{
		type ipv4_addr
		flags timeout{ipv4}
	}}
	set ipv6 {{
		type ipv6_addr
		flags interval, timeout{ipv6}
	}}
	chain banned {{
		type filter hook prerouting priority raw; policy accept;
		ip saddr @ipv4 meta l4proto {{ tcp, udp }} th dport {{ {ports} }} counter drop
		ip6 saddr @ipv6 meta l4proto {{ tcp, udp }} th dport {{ {ports} }} counter drop
	}}
}}"""


def table(bans: Iterable[Ban], sip_port: int, now: datetime) -> str:
    """Write what `nft -f -` reads to drop what the sources send to the SIP ports."""
    lasting = [(ban.source, int((ban.until - now).total_seconds())) for ban in bans]
    elements = [(source, seconds) for source, seconds in lasting if seconds > 0]
    return TABLE.format(
        ipv4=_elements([one for one in elements if ":" not in one[0]]),
        ipv6=_elements([one for one in elements if ":" in one[0]]),
        ports=", ".join(map(str, sorted({sip_port, SIPS_PORT}))),
    )


def _elements(lasting: Sequence[tuple[str, int]]) -> str:
    if not lasting:
        return ""
    listed = ", ".join(f"{source} timeout {seconds}s" for source, seconds in lasting)
    return f"\n\t\telements = {{ {listed} }}"
