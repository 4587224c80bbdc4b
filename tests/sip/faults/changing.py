"""Random changes of accounts, and what has to be true of each account after them."""

from dataclasses import dataclass
from random import Random

from provisioner.kamailio import KamailioNode
from tests.sip.clients import Credentials, Wire, free_port
from tests.sip.faults.repeating import PATIENCE
from tests.system import Line, System

ELSEWHERE = "192.0.2.0/24"


@dataclass
class Subject:
    """An account that is changed, as it has to be by what was acknowledged."""

    system: System
    line: Line
    credentials: Credentials
    port: int  # of its phone
    enabled: bool = True
    welcome: bool = True  # its networks let the phone in
    deleted: bool = False

    @classmethod
    def new(cls, system: System, **fields: object) -> "Subject":
        """Make one, enabled."""
        line = system.new_line(enabled=False, **fields)
        subject = cls(system, line, line.credentials, free_port(system.internet.client))
        subject.enable()
        return subject

    @property
    def status(self) -> int:
        """What its phone has to be told when it registers."""
        if self.deleted:
            return 401
        return 200 if self.enabled and self.welcome else 403

    @property
    def aor(self) -> str:
        """Its address of record."""
        return f"{self.credentials.username}@{self.system.realm}"

    def register(self) -> int:
        """Register its phone; the status that it is told."""
        place = self.system.internet
        with Wire(place.registrar, place.client, port=self.port, timeout=PATIENCE) as wire:
            return wire.register(self.credentials).status

    def has_stale_binding(self, kamailio: KamailioNode) -> bool:
        """Say whether a node holds a binding that may not be there."""
        return self.status != 200 and bool(kamailio.bindings(self.aor))

    def has_converged(self) -> bool:
        """Say whether all nodes have been told of its changes."""
        if self.deleted:
            nodes = self.system.api.get("/nodes").expect(200)["items"]
            return all(node["converged"] for node in nodes)
        return bool(self.line.read()["convergence"]["converged"])

    # The changes. Each returns when it was acknowledged.

    def enable(self) -> None:
        """Enable it."""
        self.line.api.post(f"{self.line.path}/enable").expect(200)
        self.enabled = True

    def disable(self) -> None:
        """Disable it."""
        self.line.api.post(f"{self.line.path}/disable").expect(200)
        self.enabled = False

    def rotate(self) -> None:
        """Give it another password."""
        answer = self.line.api.post(f"{self.line.path}/credentials").expect(200)
        shown = answer["credentials"]
        self.credentials = Credentials(shown["username"], shown["password"], shown["realm"])

    def shut_out(self) -> None:
        """Let it register from elsewhere only."""
        self._allow([ELSEWHERE])

    def let_in(self) -> None:
        """Let it register from anywhere."""
        self._allow(None)

    def drop(self) -> None:
        """Drop its bindings."""
        answer = self.line.api.delete(f"{self.line.path}/registrations", wait=0)
        assert answer.status in (202, 204), answer.json  # 202: not done yet

    def delete(self) -> None:
        """Delete it."""
        self.disable()
        self.line.api.delete(self.line.path).expect(204)
        self.deleted = True

    def _allow(self, networks: list[str] | None) -> None:
        self.line.api.patch(self.line.path, {"allowed_networks": networks}).expect(200)
        self.welcome = networks is None


CHANGES = [
    Subject.enable,
    Subject.disable,
    Subject.rotate,
    Subject.shut_out,
    Subject.let_in,
    Subject.drop,
    Subject.delete,
]
WEIGHTS = [5, 4, 2, 2, 3, 2, 1]


class Population:
    """Some accounts, of which now this one, now that one is changed; the deleted are replaced."""

    def __init__(self, system: System, seed: int, *, size: int = 12) -> None:
        self._system = system
        self._random = Random(seed)  # noqa: S311 - a test that can be repeated, not a secret
        self.living = [Subject.new(system) for _ in range(size)]
        self.dead: list[Subject] = []
        self.changes = 0
        self.disobeyed: list[str] = []

    @property
    def everybody(self) -> list[Subject]:
        """All accounts that there are or were."""
        return [*self.living, *self.dead]

    def change(self) -> None:
        """Let a phone register, change its account, and see that the next REGISTER obeys, where the
        change has converged; where it has not, the node may still grant what it remembers.
        """
        subject = self._random.choice(self.living)
        subject.register()
        (act,) = self._random.choices(CHANGES, WEIGHTS)
        act(subject)
        self.changes += 1
        converged = subject.has_converged()
        told = subject.register()
        if told == 200 and not converged:
            told = subject.status
        # One that is saved while the worker drops bindings is told to come again.
        if told != subject.status and (told, subject.status) != (503, 200):
            self.disobeyed.append(f"{act.__name__}: {told} instead of {subject.status}")
        if subject.deleted:
            self.living.remove(subject)
            self.dead.append(subject)
            self.living.append(Subject.new(self._system))
