"""After a restore: the database forgets the cluster that its backup was taken from."""

from dataclasses import dataclass

from provisioner import db, journal
from provisioner.access import Actor
from provisioner.db import Connection, one, rows, run
from provisioner.errors import Conflict
from provisioner.journal import Change
from provisioner.queries import RECOVERY
from provisioner.sealing import SealBroken, Sealer
from provisioner.settings import Settings

# How far ids, versions and generations go ahead of the backup's, so that those which were given out
# after it was taken are not given out again.
STEP = 1_000_000


class ServiceRuns(Conflict):
    """The service uses this database; stop it first."""

    code = "service-runs"


@dataclass(frozen=True)
class Forgotten:
    """What there was, and how many of how many secrets SECRETS_KEY does not open."""

    nodes: int
    bindings: int
    calls: int
    sessions: int
    endpoints: int
    sealed: int
    unreadable: int


def forget_cluster(settings: Settings, actor: Actor, *, rehearsal: bool) -> Forgotten:
    """Forget nodes with their pending work, bindings, calls in progress and logins.

    In a rehearsal no webhook is sent, because the events that wait are the real system's.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
        ServiceRuns: somebody is connected as the service or as Kamailio.
    """
    url = settings.database_admin_url
    with db.translated_errors(), db.connect(url, name="provisioner recovery") as connection:
        busy = one(connection, RECOVERY["service_connections"])
        if busy and busy["number"]:
            raise ServiceRuns()
        found = _forget(connection, Sealer(settings.secrets_keys), rehearsal)
        change = Change("database.restored", "database", settings.sip_realm, after=vars(found))
        journal.record(connection, actor, change)
    return found


def _forget(connection: Connection, sealer: Sealer, rehearsal: bool) -> Forgotten:
    calls = len(rows(connection, RECOVERY["calls_end"]))
    run(connection, RECOVERY["leases_end"])
    run(connection, RECOVERY["binding_attributes_forget"])
    sealed = [row["sealed"] for row in rows(connection, RECOVERY["sealed"])]
    found = Forgotten(
        nodes=run(connection, RECOVERY["nodes_forget"]),
        bindings=run(connection, RECOVERY["bindings_forget"]),
        calls=calls,
        sessions=run(connection, RECOVERY["sessions_end"]),
        endpoints=run(connection, RECOVERY["endpoints_silence"]) if rehearsal else 0,
        sealed=len(sealed),
        unreadable=sum(not _opens(sealer, one) for one in sealed),
    )
    run(connection, RECOVERY["sequences_advance"], step=STEP)
    return found


def _opens(sealer: Sealer, sealed: str) -> bool:
    try:
        sealer.open(sealed)
    except SealBroken:
        return False
    return True
