"""`…/credential-change` and `…/credentials/expire`: passwords that end."""

from typing import Any, ClassVar, Self

from provisioner import rotation
from provisioner.access import Permission
from provisioner.api.bodies import ChangeAction, CredentialChangeBody
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.sip_accounts import ONE, current, settle
from provisioner.api.view import EXAMPLE_TIME, Time, View, example
from provisioner.api.views import CREDENTIALS_EXAMPLE, AccountView, CredentialsView
from provisioner.credentials import Secret
from provisioner.rotation import ScheduledChange
from provisioner.settings import Settings

resource = Resource("Credentials", "/sip-accounts" + ONE)


class CredentialChangeView(View):
    """What becomes of an account's password, and when: `rotate` or `expire`."""

    model_config = example(action="rotate", due_at=EXAMPLE_TIME, created_at=EXAMPLE_TIME)

    action: ChangeAction
    due_at: Time
    created_at: Time

    @classmethod
    def of(cls, change: ScheduledChange) -> Self:
        """Show one."""
        action = ChangeAction.EXPIRE if change.expires else ChangeAction.ROTATE
        return cls(action=action, due_at=change.due_at, created_at=change.created_at)


class NewCredentialChangeView(CredentialChangeView):
    """A change with the credentials that hold from then on, the only time that they can be seen;
    null where the present ones expire.
    """

    model_config = example(
        action="rotate",
        due_at=EXAMPLE_TIME,
        created_at=EXAMPLE_TIME,
        credentials=CREDENTIALS_EXAMPLE,
    )
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"credentials": {"password"}}

    credentials: CredentialsView | None = None

    @classmethod
    def with_secret(cls, change: ScheduledChange, secret: Secret, settings: Settings) -> Self:
        """Show one."""
        shown_now = cls.of(change)
        shown_now.credentials = CredentialsView.of(secret, settings)
        return shown_now


@resource.post("/credential-change", Permission.ACCOUNTS_OPERATE, status=201)
def schedule_credential_change(
    call: Call, body: CredentialChangeBody, account_id: int
) -> NewCredentialChangeView:
    """Let the password change or expire at a chosen time.

    A new one is in this answer and nowhere else, ever; until `due_at` the present one holds. A
    change that was scheduled before is replaced.
    """
    call.created(f"/sip-accounts/{account_id}/credential-change")
    if body.action is ChangeAction.EXPIRE:
        change = rotation.schedule_expiry(call.connection, call.actor, account_id, body.due_at)
        return NewCredentialChangeView.of(change)
    change, secret = rotation.schedule_rotation(
        call.connection, call.actor, account_id, body.due_at
    )
    return NewCredentialChangeView.with_secret(change, secret, services().settings)


@resource.get("/credential-change", Permission.ACCOUNTS_READ)
def read_credential_change(call: Call, account_id: int) -> CredentialChangeView:
    """Show the change of the password that is scheduled."""
    return CredentialChangeView.of(rotation.read(call.connection, call.actor, account_id))


@resource.delete("/credential-change", Permission.ACCOUNTS_OPERATE)
def cancel_credential_change(call: Call, account_id: int) -> None:
    """Forget the change of the password that is scheduled; the present one stays."""
    rotation.cancel(call.connection, call.actor, account_id)


@resource.post("/credentials/expire", Permission.ACCOUNTS_OPERATE, guard=current)
def expire_credentials(call: Call, account_id: int) -> AccountView:
    """Take the password away at once; its bindings go.

    No device can register until a new one is made.
    """
    account = rotation.expire(call.connection, call.actor, account_id)
    settle(call, account)
    return AccountView.of(account)
