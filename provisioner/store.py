"""One function a query: a connection and plain values in, model values out."""

from collections.abc import Sequence

from provisioner.credentials import Secret
from provisioner.db import Connection, one, rows, run
from provisioner.model import Account, Network, Number, NumberState, Token
from provisioner.queries import ACCOUNTS, NETWORKS, TOKENS


def realm(connection: Connection) -> str:
    """Return the installation's realm."""
    row = one(connection, ACCOUNTS["realm"])
    assert row is not None  # noqa: S101 - the migration made the row
    return str(row["realm"])


def insert_number(
    connection: Connection, project_id: int, number: str, state: NumberState
) -> Number:
    """Add a number. NumberExists where it is there already, whoever's it is."""
    row = one(
        connection,
        ACCOUNTS["number_insert"],
        project_id=project_id,
        number=number,
        state=state,
    )
    assert row is not None  # noqa: S101 - RETURNING
    return Number.from_row(row)


def number(connection: Connection, project_id: int, number: str) -> Number | None:
    """Find one number of a project."""
    row = one(connection, ACCOUNTS["number"], project_id=project_id, number=number)
    return Number.from_row(row) if row else None


def lock_number(connection: Connection, project_id: int, number: str) -> Number | None:
    """Find one number of a project, and wait for all other changes of it."""
    row = one(connection, ACCOUNTS["number_lock"], project_id=project_id, number=number)
    return Number.from_row(row) if row else None


def set_number_state(connection: Connection, number: str, state: NumberState) -> None:
    """Write a number's state."""
    run(connection, ACCOUNTS["number_state"], number=number, state=state)


def linked_numbers(connection: Connection, account_id: int) -> list[Number]:
    """List an account's numbers, main and additional."""
    found = rows(connection, ACCOUNTS["numbers_linked"], account_id=account_id)
    return [Number.from_row(row) for row in found]


def numbers(
    connection: Connection,
    project_id: int,
    after: str,
    limit: int,
    *,
    state: NumberState | None = None,
    choosable: bool | None = None,
) -> list[Number]:
    """List a project's numbers that sort after `after`, perhaps only those of a kind."""
    found = rows(
        connection,
        ACCOUNTS["numbers"],
        project_id=project_id,
        after=after,
        limit=limit,
        state=state,
        choosable=choosable,
    )
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
    run(connection, ACCOUNTS["number_free"], account_id=account_id, number=number)


def additional_numbers(connection: Connection, account_id: int) -> list[str]:
    """List the numbers linked to an account beside its main number."""
    found = rows(connection, ACCOUNTS["numbers_additional"], account_id=account_id)
    return [str(row["number"]) for row in found]


def insert_account(
    connection: Connection,
    *,
    project_id: int,
    name: str,
    main_number: str,
    voice_channels: int,
    tariff: str,
    cloudfire_only: bool,
) -> int:
    """Add an account and return its id. NameTaken or NumberTaken where it collides."""
    row = one(
        connection,
        ACCOUNTS["account_insert"],
        project_id=project_id,
        name=name,
        main_number=main_number,
        voice_channels=voice_channels,
        tariff=tariff,
        cloudfire_only=cloudfire_only,
    )
    assert row is not None  # noqa: S101 - RETURNING
    return int(row["id"])


def save_credentials(connection: Connection, account_id: int, secret: Secret) -> None:
    """Store a secret's hashes in place of the former ones."""
    run(
        connection,
        ACCOUNTS["credentials_upsert"],
        account_id=account_id,
        username=secret.username,
        realm=secret.realm,
        ha1=secret.ha1,
        ha1_sha256=secret.ha1_sha256,
    )


def lock_account(connection: Connection, project_id: int, account_id: int) -> bool:
    """Wait for all other changes of an account; False where there is no such account."""
    locked = one(connection, ACCOUNTS["account_lock"], project_id=project_id, account_id=account_id)
    return locked is not None


def account(connection: Connection, project_id: int, account_id: int) -> Account | None:
    """Find one account of a project, with its convergence."""
    row = one(connection, ACCOUNTS["account"], project_id=project_id, account_id=account_id)
    return Account.from_row(row) if row else None


def accounts(connection: Connection, project_id: int, after: int, limit: int) -> list[Account]:
    """List a project's accounts with an id above `after`, oldest first."""
    found = rows(connection, ACCOUNTS["accounts"], project_id=project_id, after=after, limit=limit)
    return [Account.from_row(row) for row in found]


def update_account(connection: Connection, account: Account) -> None:
    """Write an account's configuration and state as a new generation."""
    run(
        connection,
        ACCOUNTS["account_update"],
        account_id=account.id,
        name=account.name,
        voice_channels=account.voice_channels,
        tariff=account.tariff,
        cloudfire_only=account.cloudfire_only,
        state=account.state,
    )


def delete_account(connection: Connection, account_id: int) -> None:
    """Remove an account and its credentials."""
    run(connection, ACCOUNTS["account_delete"], account_id=account_id)


def project_subscriber(connection: Connection, account_id: int) -> bool:
    """Copy an account's desired row to Kamailio; False where a foreign row is in its place."""
    return run(connection, ACCOUNTS["subscriber_project"], account_id=account_id) == 1


def erase_unwanted_subscriber(connection: Connection, account_id: int) -> None:
    """Delete an account's rows of Kamailio's table other than the one that ought to exist."""
    run(connection, ACCOUNTS["subscriber_erase_unwanted"], account_id=account_id)


def erase_subscriber(connection: Connection, account_id: int) -> None:
    """Remove an account's row from Kamailio's table."""
    run(connection, ACCOUNTS["subscriber_erase"], account_id=account_id)


def kick(
    connection: Connection,
    username: str,
    *,
    drop_all: bool,
    node_id: int | None = None,
) -> None:
    """Leave work for one node or all: bindings of the account that are not allowed must go."""
    run(
        connection,
        ACCOUNTS["kick"],
        username=username,
        drop_all=drop_all,
        node_id=node_id,
    )


def unconfirmed_kicks(connection: Connection, username: str) -> int:
    """Count the nodes that have yet to confirm a username's changes."""
    row = one(connection, ACCOUNTS["kicks_unconfirmed"], username=username)
    return int(row["pending"]) if row else 0


def network(connection: Connection, name: str) -> Network | None:
    """Find a shared network by its name."""
    row = one(connection, NETWORKS["network"], name=name)
    return Network.from_row(row) if row else None


def replace_cidrs(connection: Connection, name: str, cidrs: Sequence[str]) -> bool:
    """Make a network consist of `cidrs`; False where it does already."""
    locked = one(connection, NETWORKS["network_lock"], name=name)
    assert locked is not None  # noqa: S101 - the caller has looked it up
    parameters = {"network_id": locked["id"], "cidrs": list(cidrs)}
    deleted = run(connection, NETWORKS["cidrs_delete"], **parameters)
    inserted = run(connection, NETWORKS["cidrs_insert"], **parameters)
    if not deleted + inserted:
        return False
    run(connection, NETWORKS["network_touch"], network_id=locked["id"])
    return True


def project_addresses(connection: Connection) -> int:
    """Make our rows of Kamailio's address table what they ought to be; return how many changed."""
    run(connection, NETWORKS["networks_lock"])
    erased = run(connection, NETWORKS["addresses_erase"])
    return erased + run(connection, NETWORKS["addresses_project"])


def reload_allowlists(connection: Connection, node_id: int | None = None) -> None:
    """Leave work for one node or all: load the allowlists again."""
    run(connection, NETWORKS["reload"], node_id=node_id)


def unconfirmed_reloads(connection: Connection) -> int:
    """Count the nodes that have yet to load the allowlists."""
    row = one(connection, NETWORKS["reloads_unconfirmed"])
    return int(row["pending"]) if row else 0


def token(connection: Connection, sha256: bytes) -> Token | None:
    """Find a token by the hash of what the client sent."""
    row = one(connection, TOKENS["token"], sha256=sha256)
    return Token(**row) if row else None


def insert_token(connection: Connection, name: str, role: str, sha256: bytes) -> None:
    """Store a new token of the default project."""
    run(connection, TOKENS["token_insert"], name=name, role=role, sha256=sha256)
