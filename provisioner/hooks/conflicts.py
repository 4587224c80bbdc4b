"""Which events a person has to decide: those that would undo what somebody here has done since."""

from collections.abc import Mapping
from typing import Any

from provisioner import hook_store
from provisioner.db import Connection
from provisioner.hook_store import StoredEvent, Subject
from provisioner.hooks.fold import Decision, Kind
from provisioner.model import AccountState


def found(
    connection: Connection,
    subject: Subject,
    stored: StoredEvent,
    decision: Decision,
    actual: Mapping[str, Any] | None,
) -> str | None:
    """Say why an event must not be applied by itself; None where nothing speaks against it.

    A creation does not reset an account that somebody here has created. An event may name the
    generation of the account that its sender saw, and then nobody but hooks may have changed the
    account since. Even without it, an event never revives an account that somebody here has
    disabled or deleted after the event's own time.
    """
    if subject.kind != Kind.ACCOUNT or subject.account_id is None or not decision.acts:
        return None
    if stored.type == "account.created" and subject.born_version is None and decision.change:
        return "The account was here before the event, which would begin it anew."
    generation = stored.data.get("generation")
    if generation is not None:
        change = hook_store.changed_elsewhere(connection, subject, generation)
        if change:
            return (
                f"The account has been changed here ({change['type']}) since generation "
                f"{generation}, which the event's sender saw."
            )
    if _revives(decision, actual):
        change = hook_store.state_changed_elsewhere(connection, subject, stored.occurred_at)
        if change:
            return f"The account's state was changed here ({change['type']}) after the event."
    return None


def _revives(decision: Decision, actual: Mapping[str, Any] | None) -> bool:
    """Say whether an account that is disabled, or is gone, would come back."""
    if actual is None:
        return decision.create is not None
    state = decision.change.get("state", AccountState.DISABLED)
    return bool(actual["state"] == AccountState.DISABLED and state != AccountState.DISABLED)
