"""Who may do what: roles, permissions, and the actor of an operation. Nothing here does input or
output.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or token is for (the operator's manual names them in Italian)."""

    ADMIN = "admin"
    ACCOUNTING = "accounting"  # Contabilità
    TECHNICIAN = "technician"  # Tecnico
    SALES = "sales"  # Vendite
    READ_ONLY = "read_only"


class Permission(StrEnum):
    """What a route or command asks for; every route declares one."""

    ACCOUNTS_READ = "accounts.read"
    ACCOUNTS_MANAGE = "accounts.manage"  # create, configure, delete
    ACCOUNTS_OPERATE = "accounts.operate"  # enable, disable, rotate credentials
    REGISTRATIONS_READ = "registrations.read"
    LIVE_CALLS_READ = "live_calls.read"
    NUMBERS_READ = "numbers.read"
    NUMBERS_MANAGE = "numbers.manage"
    NETWORKS_READ = "networks.read"
    NETWORKS_MANAGE = "networks.manage"
    NODES_READ = "nodes.read"
    NODES_MANAGE = "nodes.manage"
    BANS_READ = "bans.read"
    BANS_LIFT = "bans.lift"
    TRUNKS_READ = "trunks.read"
    TRUNKS_MANAGE = "trunks.manage"
    CUSTOMERS_READ = "customers.read"
    CUSTOMERS_MANAGE = "customers.manage"
    PROJECTS_READ = "projects.read"
    PROJECTS_MANAGE = "projects.manage"
    CALL_POLICIES_MANAGE = "call_policies.manage"
    USERS_MANAGE = "users.manage"
    TOKENS_MANAGE = "tokens.manage"
    AUDIT_READ = "audit.read"
    WEBHOOKS_MANAGE = "webhooks.manage"
    HOOKS_MANAGE = "hooks.manage"
    IMPORTS_MANAGE = "imports.manage"
    EXPORTS_READ = "exports.read"
    CALLS_READ = "calls.read"
    RATES_READ = "rates.read"
    RATES_MANAGE = "rates.manage"
    OWN = "own"  # what everybody may who has logged in: his own profile
    PUBLIC = "public"  # asks for no token: health, the API's description, signed hooks


_READ = {
    Permission.OWN,
    Permission.ACCOUNTS_READ,
    Permission.NUMBERS_READ,
    Permission.NETWORKS_READ,
    Permission.CUSTOMERS_READ,
    Permission.PROJECTS_READ,
    Permission.CALLS_READ,
}
_OPERATE = _READ | {
    Permission.ACCOUNTS_OPERATE,
    Permission.REGISTRATIONS_READ,
    Permission.LIVE_CALLS_READ,
    Permission.NODES_READ,
    Permission.BANS_READ,
    Permission.BANS_LIFT,
    Permission.TRUNKS_READ,
}
_ADMINISTER = _OPERATE | {
    Permission.ACCOUNTS_MANAGE,
    Permission.NUMBERS_MANAGE,
    Permission.CUSTOMERS_MANAGE,
    Permission.PROJECTS_MANAGE,
    Permission.CALL_POLICIES_MANAGE,
    Permission.AUDIT_READ,
    Permission.IMPORTS_MANAGE,
    Permission.EXPORTS_READ,
    Permission.RATES_READ,
    Permission.RATES_MANAGE,
}

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.ACCOUNTING: frozenset(_ADMINISTER),
    Role.TECHNICIAN: frozenset(_OPERATE),
    Role.SALES: frozenset(_READ),
    Role.READ_ONLY: frozenset(_READ),
}

# What concerns more than one customer, or what the operator alone can vouch for: a customer who
# could declare a number active would receive somebody else's calls, and a stolen token that could
# allow premium numbers would call the thief's own.
OPERATORS = frozenset(
    {
        Permission.NUMBERS_MANAGE,
        Permission.NETWORKS_MANAGE,
        Permission.NODES_READ,
        Permission.NODES_MANAGE,
        Permission.BANS_READ,
        Permission.BANS_LIFT,
        Permission.TRUNKS_READ,
        Permission.TRUNKS_MANAGE,
        Permission.CUSTOMERS_MANAGE,
        Permission.CALL_POLICIES_MANAGE,
        Permission.RATES_READ,
        Permission.RATES_MANAGE,
    }
)


# What concerns a customer as a whole: nothing for a token that is limited to one project.
CUSTOMER_WIDE = frozenset({Permission.USERS_MANAGE, Permission.PROJECTS_MANAGE})


class Via(StrEnum):
    """The way by which an operation was asked for."""

    API = "api"
    HOOK = "hook"
    CONSOLE = "console"
    CLI = "cli"
    WORKER = "worker"


@dataclass(frozen=True)
class Actor:
    """Who asks for an operation, and what he can see.

    `customer_id` is None for the operator, who sees all customers; `project_id` is None where all
    of the customer's projects are seen. `source` is an IP address.
    """

    via: Via
    id: int | None
    name: str
    role: Role
    customer_id: int | None = None
    project_id: int | None = None
    source: str | None = None
    request_id: str | None = None

    def may(self, permission: Permission) -> bool:
        """Say whether the actor has a permission at all; on which objects is another question."""
        if permission in OPERATORS and self.customer_id is not None:
            return False
        if permission in CUSTOMER_WIDE and self.project_id is not None:
            return False
        return permission in GRANTS[self.role]

    @property
    def scope(self) -> dict[str, int | None]:
        """The query parameters that limit rows to what the actor sees."""
        return {"scope_customer": self.customer_id, "scope_project": self.project_id}


def system_actor(via: Via, name: str) -> Actor:
    """Make an actor who may do everything: the command line's user, the worker."""
    return Actor(via, None, name, Role.ADMIN)


WORKER = system_actor(Via.WORKER, "worker")
