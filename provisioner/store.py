"""One function a query: a connection and plain values in, model values out."""

from collections.abc import Collection, Sequence

from provisioner import origin, tracing
from provisioner.access import Actor
from provisioner.calling import CallerIdRule, CallTransfer
from provisioner.credentials import Secret
from provisioner.db import Connection, one, rows, run, send
from provisioner.model import (
    Account,
    Network,
    NewAccount,
    NewNumber,
    Number,
    Tariff,
    TariffChange,
)
from provisioner.queries import ACCOUNTS, JOURNAL, NETWORKS
from provisioner.tenancy import Project


def realm(connection: Connection) -> str:
    """Return the installation's realm."""
    row = one(connection, ACCOUNTS["realm"])
    assert row is not None  # noqa: S101 - the migration made the row
    return str(row["realm"])


def insert_number(connection: Connection, project: Project, new: NewNumber) -> Number:
    """Add a number. NumberExists where it is there already, whoever's it is."""
    row = one(
        connection,
        ACCOUNTS["number_insert"],
        customer_id=project.customer_id,
        project_id=project.id,
        number=new.number,
        state=new.state,
        external_id=new.external_id,
    )
    assert row is not None  # noqa: S101 - RETURNING
    return Number.from_row(row)


def number(connection: Connection, actor: Actor, number: str) -> Number | None:
    """Find one number that the actor sees."""
    row = one(connection, ACCOUNTS["number"], number=number, **actor.scope)
    return Number.from_row(row) if row else None


def project_number(connection: Connection, project_id: int, number: str) -> Number | None:
    """Find one number of a project, whoever asks."""
    scope = {"scope_customer": None, "scope_project": project_id}
    row = one(connection, ACCOUNTS["number"], number=number, **scope)
    return Number.from_row(row) if row else None


def lock_number(connection: Connection, actor: Actor, number: str) -> Number | None:
    """Find one number that the actor sees, and wait for all other changes of it."""
    row = one(connection, ACCOUNTS["number_lock"], number=number, **actor.scope)
    return Number.from_row(row) if row else None


def update_number(connection: Connection, number: Number) -> Number:
    """Write a number's state and external id as a new generation."""
    row = one(
        connection,
        ACCOUNTS["number_update"],
        number=number.number,
        state=number.state,
        external_id=number.external_id,
    )
    assert row is not None  # noqa: S101 - the caller has locked it
    return Number.from_row(row)


def linked_numbers(connection: Connection, account_id: int) -> list[Number]:
    """List an account's numbers, main and additional."""
    found = rows(connection, ACCOUNTS["numbers_linked"], account_id=account_id)
    return [Number.from_row(row) for row in found]


def take_number(connection: Connection, project_id: int, number: str, account_id: int) -> bool:
    """Bind a choosable number to an account; False where it is not choosable."""
    taken = run(
        connection,
        ACCOUNTS["number_take"],
        project_id=project_id,
        number=number,
        account_id=account_id,
    )
    return taken == 1


def free_number(connection: Connection, account_id: int, number: str) -> None:
    """Make an account's number choosable again."""
    send(connection, ACCOUNTS["number_free"], account_id=account_id, number=number)


def additional_numbers(connection: Connection, account_id: int) -> list[str]:
    """List the numbers linked to an account beside its main number."""
    found = rows(connection, ACCOUNTS["numbers_additional"], account_id=account_id)
    return [str(row["number"]) for row in found]


def create_account(
    connection: Connection, actor: Actor, new: NewAccount, secret: Secret | None
) -> tuple[Account, bool]:
    """Add an account with all that belongs to it, its line in the audit trail included; return it,
    and whether an endpoint is to be told of it. What stands in the way is raised, as for a
    constraint.
    """
    row = one(
        connection,
        ACCOUNTS["account_create"],
        **actor.scope,
        project_id=new.project_id,
        external_id=new.external_id,
        name=new.name,
        main_number=new.main_number,
        voice_channels=new.voice_channels,
        tariff=new.tariff,
        cloudfire_only=new.cloudfire_only,
        allowed_networks=list(new.allowed_networks),
        realm=secret and secret.realm,
        ha1=secret and secret.ha1,
        ha1_sha256=secret and secret.ha1_sha256,
        via=actor.via,
        actor_id=actor.id,
        actor_name=actor.name,
        source=actor.source,
        request_id=actor.request_id,
    )
    assert row is not None  # noqa: S101 - who makes none raises
    return Account.from_row(row), bool(row["heard"])


def save_credentials(connection: Connection, account_id: int, secret: Secret) -> None:
    """Store a secret's hashes in place of the former ones."""
    send(
        connection,
        ACCOUNTS["credentials_upsert"],
        account_id=account_id,
        username=secret.username,
        realm=secret.realm,
        ha1=secret.ha1,
        ha1_sha256=secret.ha1_sha256,
    )


def has_credentials(connection: Connection, account_id: int) -> bool:
    """Say whether an account has a password."""
    return one(connection, ACCOUNTS["credentials_exist"], account_id=account_id) is not None


def lock_account(connection: Connection, actor: Actor, account_id: int) -> None:
    """Wait for all other changes of an account, if the actor sees one."""
    send(connection, ACCOUNTS["account_lock"], account_id=account_id, **actor.scope)


def account(connection: Connection, actor: Actor, account_id: int) -> Account | None:
    """Find one account that the actor sees, with its convergence."""
    row = one(connection, ACCOUNTS["account"], account_id=account_id, **actor.scope)
    return Account.from_row(row) if row else None


def account_names(connection: Connection, actor: Actor, ids: Collection[int]) -> dict[int, str]:
    """Return the names of accounts by their ids."""
    found = rows(connection, ACCOUNTS["accounts_named"], ids=list(ids), **actor.scope)
    return {row["id"]: row["name"] for row in found}


def update_account(connection: Connection, account: Account) -> None:
    """Write an account's configuration and state as a new generation."""
    send(
        connection,
        ACCOUNTS["account_update"],
        account_id=account.id,
        external_id=account.external_id,
        name=account.name,
        voice_channels=account.voice_channels,
        tariff=account.tariff,
        cloudfire_only=account.cloudfire_only,
        allowed_networks=list(account.allowed_networks),
        state=account.state,
    )


def delete_account(connection: Connection, account_id: int) -> None:
    """Remove an account and its credentials."""
    send(connection, ACCOUNTS["account_delete"], account_id=account_id)


def project_subscriber(connection: Connection, account_id: int) -> bool:
    """Copy an account's desired row to Kamailio; False where a foreign row is in its place."""
    return one(connection, ACCOUNTS["subscriber_project"], account_id=account_id) is not None


def erase_unwanted_subscriber(connection: Connection, account_id: int) -> None:
    """Delete an account's rows of Kamailio's table other than the one that ought to exist."""
    send(connection, ACCOUNTS["subscriber_erase_unwanted"], account_id=account_id)


def erase_subscriber(connection: Connection, account_id: int) -> None:
    """Remove an account's row from Kamailio's table."""
    send(connection, ACCOUNTS["subscriber_erase"], account_id=account_id)


def kick(
    connection: Connection,
    username: str,
    *,
    drop_all: bool,
    node_id: int | None = None,
) -> None:
    """Leave work for one node or all: bindings of the account that are not allowed must go."""
    send(
        connection,
        ACCOUNTS["kick"],
        username=username,
        drop_all=drop_all,
        node_id=node_id,
        request_id=origin.request_id(),
        traceparent=tracing.traceparent(),
    )


def unconfirmed_kicks(connection: Connection, username: str) -> int:
    """Count the nodes that have yet to confirm a username's changes."""
    row = one(connection, ACCOUNTS["kicks_unconfirmed"], username=username)
    return int(row["pending"]) if row else 0


def networks(connection: Connection) -> list[Network]:
    """List the networks that accounts share."""
    return [Network.from_row(row) for row in rows(connection, NETWORKS["networks"])]


def network(connection: Connection, name: str) -> Network | None:
    """Find a shared network by its name."""
    row = one(connection, NETWORKS["network"], name=name)
    return Network.from_row(row) if row else None


def lock_networks(connection: Connection) -> None:
    """Wait for all other changes of networks."""
    send(connection, NETWORKS["networks_lock"])


def replace_cidrs(connection: Connection, name: str, cidrs: Sequence[str]) -> bool:
    """Make a network, which is locked, consist of `cidrs`; False where it does already."""
    return one(connection, NETWORKS["cidrs_replace"], name=name, cidrs=list(cidrs)) is not None


def project_addresses(connection: Connection) -> None:
    """Make our rows of Kamailio's address table what they ought to be; networks are locked."""
    send(connection, NETWORKS["addresses_erase"])
    send(connection, NETWORKS["addresses_project"])


def repair_addresses(connection: Connection) -> int:
    """Do the same, and return how many rows changed."""
    erased = run(connection, NETWORKS["addresses_erase"])
    return erased + run(connection, NETWORKS["addresses_project"])


def reload_allowlists(connection: Connection, node_id: int | None = None) -> None:
    """Leave work for one node or all: load the allowlists again."""
    send(
        connection,
        NETWORKS["reload"],
        node_id=node_id,
        request_id=origin.request_id(),
        traceparent=tracing.traceparent(),
    )


def unconfirmed_reloads(connection: Connection) -> int:
    """Count the nodes that have yet to load the allowlists."""
    row = one(connection, NETWORKS["reloads_unconfirmed"])
    return int(row["pending"]) if row else 0


def caller_id_rules(connection: Connection, account_id: int) -> list[CallerIdRule]:
    """List an account's caller ID rules."""
    found = rows(connection, ACCOUNTS["caller_id_rules"], account_id=account_id)
    return [CallerIdRule.from_row(row) for row in found]


def insert_caller_id_rule(
    connection: Connection, account_id: int, prefix: str, number: str | None
) -> CallerIdRule:
    """Add a caller ID rule. PrefixTaken where there is one for the prefix."""
    row = one(
        connection,
        ACCOUNTS["caller_id_rule_insert"],
        account_id=account_id,
        destination_prefix=prefix,
        number=number,
    )
    assert row is not None  # noqa: S101 - RETURNING
    return CallerIdRule.from_row(row)


def delete_caller_id_rule(
    connection: Connection, account_id: int, rule_id: int
) -> CallerIdRule | None:
    """Remove a caller ID rule and return it; None where the account has no such rule."""
    parameters = {"account_id": account_id, "rule_id": rule_id}
    row = one(connection, ACCOUNTS["caller_id_rule_delete"], **parameters)
    return CallerIdRule.from_row(row) if row else None


def call_transfer(connection: Connection, account_id: int) -> CallTransfer:
    """Return an account's transfers."""
    row = one(connection, ACCOUNTS["call_transfer"], account_id=account_id)
    return CallTransfer.from_row(row) if row else CallTransfer()


def save_call_transfer(connection: Connection, account_id: int, transfer: CallTransfer) -> None:
    """Replace an account's transfers."""
    send(
        connection,
        ACCOUNTS["call_transfer_save"],
        account_id=account_id,
        **transfer.columns(),
    )


def lock_transfers(connection: Connection, customer_id: int) -> None:
    """Wait for all other changes of the customer's transfers."""
    run(connection, ACCOUNTS["transfers_lock"], customer_id=customer_id)


def transfer_chain(connection: Connection, account: Account, target: str) -> set[int]:
    """Return the ids of the customer's accounts that a call to `target` can end up at.

    The chain is not followed beyond `account` itself, nor to other customers' accounts.
    """
    found = rows(
        connection,
        ACCOUNTS["transfer_chain"],
        target=target,
        customer_id=account.customer_id,
        account_id=account.id,
    )
    return {int(row["account_id"]) for row in found}


def insert_tariff(connection: Connection, actor: Actor, account_id: int, tariff: Tariff) -> None:
    """Note that a tariff is in force from now on."""
    send(
        connection,
        JOURNAL["tariff_insert"],
        account_id=account_id,
        tariff=tariff,
        via=actor.via,
        actor_name=actor.name,
    )


def tariffs(connection: Connection, account_id: int) -> list[TariffChange]:
    """List an account's tariffs, the latest first."""
    found = rows(connection, JOURNAL["tariffs"], account_id=account_id)
    return [TariffChange(**row) for row in found]
