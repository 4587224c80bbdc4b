"""The SQL that runs at run time, one file a subject."""

from pathlib import Path

from provisioner.db import Queries

_FOLDER = Path(__file__).parent

ACCOUNTS = Queries(_FOLDER / "accounts.sql")
BULK = Queries(_FOLDER / "bulk.sql")
EXPORTS = Queries(_FOLDER / "exports.sql")
IMPORTS = Queries(_FOLDER / "imports.sql")
JOURNAL = Queries(_FOLDER / "journal.sql")
NETWORKS = Queries(_FOLDER / "networks.sql")
ROTATION = Queries(_FOLDER / "rotation.sql")
SYNC = Queries(_FOLDER / "sync.sql")
TENANCY = Queries(_FOLDER / "tenancy.sql")
