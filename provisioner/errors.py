"""What can go wrong, in the domain's words. A class docstring is the message a user reads.

`code` is stable: clients of the API may rely on it. `field` names the input that is at fault.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class ProvisionerError(Exception):
    """Something went wrong."""

    code = "error"
    field: str | None = None

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.field = field or self.field
        super().__init__(self.detail)


class SettingInvalid(ProvisionerError):
    """A setting has a value that cannot be used."""

    code = "setting-invalid"

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name} {rule}.")


class NotFound(ProvisionerError):
    """There is no such object."""

    code = "not-found"


class InvalidInput(ProvisionerError):
    """The request does not follow the rules for its fields."""

    code = "invalid-input"

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} {rule}.")
        self.field = field
        self.rule = rule


class Forbidden(ProvisionerError):
    """Your role does not allow this."""

    code = "forbidden"


class LoginRefused(ProvisionerError):
    """Email address or password is wrong."""

    code = "login-refused"


class CodeRefused(InvalidInput):
    """The code is wrong, or it was used before."""

    code = "code-refused"

    def __init__(self) -> None:
        super().__init__("code", "is wrong, or was used before")


class InvitationUnknown(NotFound):
    """This invitation is not valid: it was used, it has expired, or there is a newer one."""


class Conflict(ProvisionerError):
    """The request contradicts what exists."""

    code = "conflict"


class NumberExists(Conflict):
    """The number exists already."""

    code = "number-exists"
    field = "number"


class NumberTaken(Conflict):
    """The number is in use by another account."""

    code = "number-taken"


class NumberNotActive(Conflict):
    """The number is not active, so no account can use it yet."""

    code = "number-not-active"


class NumberUnknown(InvalidInput):
    """The number does not exist in this project."""

    code = "number-unknown"

    def __init__(self, field: str) -> None:
        super().__init__(field, "must be a number of this project; create it first")


class TransferContradictory(InvalidInput):
    """Transfer all calls, or those not answered and those unreachable; not both."""

    code = "transfer-contradictory"

    def __init__(self) -> None:
        super().__init__("unconditional", "must be off where another transfer is on")


class NumberInUse(Conflict):
    """The number is in use by an account, so it stays active until it is unlinked."""

    code = "number-in-use"
    field = "state"


class NumberTransitionRefused(Conflict):
    """A number cannot go from its present state to that one."""

    code = "number-transition-refused"
    field = "state"


class MainNumberPermanent(Conflict):
    """The main number stays linked until the account is deleted."""

    code = "main-number-permanent"
    field = "number"


class NameTaken(Conflict):
    """Another account of the project has this name."""

    code = "name-taken"
    field = "name"


class ExternalIdTaken(Conflict):
    """Another object of this kind has this external_id."""

    code = "external-id-taken"
    field = "external_id"


class ProjectNameTaken(Conflict):
    """Another project of the customer has this name."""

    code = "name-taken"
    field = "name"


class TrunkNameTaken(Conflict):
    """Another trunk has this name."""

    code = "name-taken"
    field = "name"


class NodeExists(Conflict):
    """There is a node of this name at another address, or another one at this address."""

    code = "node-exists"


class EmailTaken(Conflict):
    """Another user has this email address."""

    code = "email-taken"
    field = "email"


class StillInUse(Conflict):
    """Something still belongs to it; remove that first."""

    code = "still-in-use"


class PrefixTaken(Conflict):
    """The account has a rule for this destination prefix already."""

    code = "prefix-taken"
    field = "destination_prefix"


class NumberInCallerIdRule(Conflict):
    """A caller ID rule of the account presents the number; remove the rule first."""

    code = "number-in-caller-id-rule"
    field = "number"


class TransferLoop(Conflict):
    """Calls would be transferred back to this account."""

    code = "transfer-loop"

    def __init__(self, field: str) -> None:
        super().__init__(field=field)


class UsernameTaken(Conflict):
    """Kamailio's subscriber table has a row of the operator's own with this username."""

    code = "username-taken"
    field = "main_number"


class DeletionRefused(Conflict):
    """The account cannot be deleted yet."""

    code = "deletion-refused"

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.reasons = list(reasons)


class DatabaseUnavailable(ProvisionerError):
    """The database cannot be reached at the moment; try again."""

    code = "database-unavailable"


class RealmDiffers(ProvisionerError):
    """The realm is part of every stored HA1, so it cannot be changed by a setting."""

    code = "realm-differs"


class NodeUnavailable(ProvisionerError):
    """A Kamailio node did not answer."""

    code = "node-unavailable"


class RpcFailed(ProvisionerError):
    """A Kamailio node answered a command with an error."""

    code = "rpc-failed"

    def __init__(self, method: str, status: int, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.status = status
        self.message = message


class PlanDangerous(ProvisionerError):
    """The plan would delete more than it may without being told so."""

    code = "plan-dangerous"
