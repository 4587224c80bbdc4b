"""The SQL that runs at run time, one file a subject."""

from pathlib import Path

from provisioner.db import Queries

_FOLDER = Path(__file__).parent

ACCOUNTS = Queries(_FOLDER / "accounts.sql")
INCOMING = Queries(_FOLDER / "incoming.sql")
BULK = Queries(_FOLDER / "bulk.sql")
EXPORTS = Queries(_FOLDER / "exports.sql")
GUARD = Queries(_FOLDER / "guard.sql")
HANDOVERS = Queries(_FOLDER / "handovers.sql")
IMPORTS = Queries(_FOLDER / "imports.sql")
JOURNAL = Queries(_FOLDER / "journal.sql")
LOGINS = Queries(_FOLDER / "logins.sql")
METRICS = Queries(_FOLDER / "metrics.sql")
NETWORKS = Queries(_FOLDER / "networks.sql")
RECOVERY = Queries(_FOLDER / "recovery.sql")
RATING = Queries(_FOLDER / "rating.sql")
ROTATION = Queries(_FOLDER / "rotation.sql")
OUTGOING = Queries(_FOLDER / "outgoing.sql")
SYNC = Queries(_FOLDER / "sync.sql")
TENANCY = Queries(_FOLDER / "tenancy.sql")
TRUNKS = Queries(_FOLDER / "trunks.sql")
