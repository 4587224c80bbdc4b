"""What can go wrong with an import as a whole."""

from provisioner.errors import Conflict, NotFound, ProvisionerError


class TooManyImports(Conflict):
    """Five imports of yours are not finished yet; wait for one of them, or cancel it."""

    code = "too-many-imports"


class ImportFinished(Conflict):
    """The import is finished, so it cannot be cancelled any more."""

    code = "import-finished"


class ImportCancelled(Conflict):
    """The import was cancelled; nothing was applied."""

    code = "import-cancelled"


class CredentialsNotReady(Conflict):
    """The import is not finished yet, so there are no credentials to fetch."""

    code = "credentials-not-ready"


class CredentialsGone(NotFound):
    """The credentials were fetched, or kept for a day; rotate those of the accounts instead."""

    code = "credentials-gone"


class Overtaken(ProvisionerError):
    """Another change came between the check of an import and its application."""

    code = "overtaken"
