"""Exit codes: what a script can rely on."""

from enum import IntEnum

from pydantic import ValidationError

from provisioner.errors import (
    Conflict,
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    ProvisionerError,
    SettingInvalid,
)


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1  # refused, or something went wrong
    USAGE = 2  # the command line, a value in it or a setting is not as it must be
    NOT_FOUND = 3
    CONFLICT = 4  # what exists is in the way
    DATABASE_UNAVAILABLE = 5
    IN_PART = 6  # done, but bad lines were left out, or not every node was reached
    INTERRUPTED = 130  # by Ctrl-C, as shells have it


# The first class that fits decides.
_CODES: list[tuple[type[Exception], Exit]] = [
    (ValidationError, Exit.USAGE),
    (SettingInvalid, Exit.USAGE),
    (InvalidInput, Exit.USAGE),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (DatabaseUnavailable, Exit.DATABASE_UNAVAILABLE),
    (ProvisionerError, Exit.FAILED),
]


def exit_of(error: Exception) -> Exit:
    """Return the exit code of a command that ended with an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)
