"""Names of all kinds: those that a stranger must not be able to tell apart."""

from secrets import choice, randbelow
from string import ascii_lowercase, digits

from tests.sip.clients import Wire
from tests.system import Line, System

# The other kinds are accounts.
NOBODYS = ("unknown", "impossible", "no number", "deleted")

# Of an account that is registered; the more there are, the longer would it take to look at them.
DEVICES = 5


def all_kinds(system: System, each: int, unknown: int) -> dict[str, list[str]]:
    """Make so many accounts of each kind, and so many names that nobody has."""

    def lines(*, enabled: bool) -> list[Line]:
        return [system.new_line(enabled=enabled) for _ in range(each)]

    kinds = {
        "disabled": lines(enabled=False),
        "not registered": lines(enabled=True),
        "registered": lines(enabled=True),
        "Teams": lines(enabled=False),
        "deleted": lines(enabled=False),
    }
    for line in kinds["registered"]:
        _register(system, line)
    for line in kinds["Teams"]:
        system.api.post(f"{line.path}/link-to-teams", wait=10).expect(200)
    for line in kinds["deleted"]:
        system.api.delete(line.path, wait=10).expect(204)
    names = {kind: [one.credentials.username for one in lines] for kind, lines in kinds.items()}
    return {
        **names,
        "unknown": [f"39099{randbelow(10**9):09d}" for _ in range(unknown)],
        # Longer than any number, which is the least that makes one impossible.
        "impossible": [f"39099{randbelow(10**12):012d}" for _ in range(each)],
        "no number": [_no_number() for _ in range(each)],
    }


def _register(system: System, line: Line) -> None:
    place = system.internet
    for _ in range(DEVICES):
        with Wire(place.registrar, place.client) as wire:
            assert wire.register(line.credentials, expires=3600).status == 200


def _no_number() -> str:
    text = "".join(choice(ascii_lowercase + digits) for _ in range(8))
    return choice(["{}", "+{}", "%27{}", "{}'--", "{}" * 8, "é{}", "0x{}"]).replace("{}", text)
