"""What the console's pages are called, where they are, and who may see them."""

from dataclasses import dataclass

from provisioner.access import Permission


@dataclass(frozen=True)
class Entry:
    """One line of the navigation; `title` is English."""

    title: str
    path: str
    permission: Permission


ENTRIES = (
    Entry("SIP accounts", "/console/accounts", Permission.ACCOUNTS_READ),
    Entry("Numbers", "/console/numbers", Permission.NUMBERS_READ),
    Entry("Call details", "/console/calls", Permission.CALLS_READ),
    Entry("Networks", "/console/networks", Permission.NETWORKS_READ),
    Entry("Users and tokens", "/console/people", Permission.USERS_MANAGE),
    Entry("Hooks", "/console/hooks", Permission.WEBHOOKS_MANAGE),
    Entry("Nodes", "/console/nodes", Permission.NODES_READ),
)
