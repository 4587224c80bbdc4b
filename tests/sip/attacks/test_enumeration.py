"""Which accounts are there? No answer tells, neither what it says nor how long it takes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, product
from pathlib import Path
from secrets import randbelow
from statistics import median
from threading import Event, Thread

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.comparison import differences, interleaved, interrogate, separation
from tests.sip.attacks.leaky import UNKNOWN, WEAK, leaky_registrar
from tests.sip.attacks.names import NOBODYS, all_kinds
from tests.sip.attacks.nodes import another_node
from tests.sip.attacks.stranger import METHODS, Question, Stranger
from tests.sip.clients import Wire, svwar
from tests.system import Line, System, eventually

# Each name asks, and guesses, from addresses of its own.
pytestmark = pytest.mark.native

# How many accounts of each kind, and how many names in all.
FEW = (1, 12)
MANY = pytest.param(50, 10_000, marks=[pytest.mark.attack, pytest.mark.timeout(1800)])
# How many samples of each kind, and how far from 0.5 the separation may be.
BRIEF = (600, 0.1)
LONG = pytest.param(5000, 0.05, marks=[pytest.mark.attack, pytest.mark.timeout(1800)])

GUESSES = 10  # that one address has
NOTE = "SELECT note_guessing($var(account), $var(suspects))"


@pytest.mark.parametrize(
    "method", ["REGISTER", *(pytest.param(one, marks=pytest.mark.attack) for one in METHODS[1:3])]
)
def test_svwar_finds_a_user_where_the_answers_differ(method: str, tmp_path: Path) -> None:
    with leaky_registrar(tmp_path) as leaky:
        names = [UNKNOWN, WEAK.username]
        scan = svwar(leaky, "127.0.20.1", names, realm=WEAK.realm, method=method)
    assert scan.found == {WEAK.username: "reqauth"}


@pytest.mark.parametrize(
    "method", ["REGISTER", *(pytest.param(one, marks=pytest.mark.attack) for one in METHODS[1:3])]
)
def test_svwar_finds_no_user_here(system: System, method: str) -> None:
    kinds = all_kinds(system, 1, 1)
    del kinds["no number"]  # svwar does not take all of them
    names = list(chain(*kinds.values()))
    place = system.internet
    scan = svwar(place.registrar, place.client, names, realm=system.realm, method=method)
    assert scan.compared == tuple(names)
    assert scan.found == {}


@pytest.mark.parametrize(
    "way",
    [
        *("answer", "header", "guess", "method", "from"),
        pytest.param("silence", marks=pytest.mark.attack),  # which takes its time
    ],
)
def test_a_difference_is_seen(way: str, tmp_path: Path) -> None:
    strangers = [f"39060000{number:04d}" for number in range(10, 15)]
    with leaky_registrar(tmp_path, way) as leaky:
        answers = interrogate(leaky, WEAK.realm, [WEAK.username, *strangers])
    assert {difference.name for difference in differences(answers)} == {WEAK.username}


@pytest.mark.parametrize(("each", "total"), [FEW, MANY])
def test_no_answer_is_another(system: System, figures: Figures, each: int, total: int) -> None:
    kinds = all_kinds(system, each, total - 7 * each)
    names = list(chain(*kinds.values()))
    answers = interrogate(system.internet.registrar, system.realm, names)
    different = differences(answers)
    replies = sum(len(given) for given in answers.values())
    figures(f"distinguishable replies of {replies} about {len(names)} names", len(different))
    assert different == []


@pytest.mark.parametrize(("samples", "tolerance"), [BRIEF, LONG])
def test_time_is_measured(figures: Figures, tmp_path: Path, samples: int, tolerance: float) -> None:
    kinds = {"known": [WEAK.username], "unknown": [UNKNOWN]}
    with leaky_registrar(tmp_path, "time") as leaky, Stranger(leaky, WEAK.realm) as stranger:
        taken = interleaved(kinds, samples, lambda name: stranger.ask(Question(name)).seconds)
    more = median(taken["known"]) - median(taken["unknown"])
    found = separation(taken["unknown"], taken["known"])
    figures(f"timing, where {more * 1e6:.0f} µs are spent on a known name, AUC", f"{found:.3f}")
    assert abs(found - 0.5) > tolerance


@pytest.mark.parametrize(
    ("method", "guess", "samples", "tolerance"),
    [
        ("REGISTER", True, *BRIEF),
        *(
            pytest.param(*case, *LONG.values, marks=LONG.marks)
            for case in product(METHODS, (False, True))
        ),
    ],
)
def test_no_answer_takes_longer(
    system: System, figures: Figures, method: str, guess: bool, samples: int, tolerance: float
) -> None:
    kinds = all_kinds(system, 3, 9)
    nobodys = [name for kind in NOBODYS for name in kinds.pop(kind)]
    both = {"nobody's": nobodys, "accounts": list(chain(*kinds.values()))}
    taken = interleaved(both, samples, partial(answer_seconds, system, method, guess))
    found = separation(taken["nobody's"], taken["accounts"])
    figures(f"timing of {method} {'with a guess' if guess else 'without one'}, AUC", f"{found:.3f}")
    assert abs(found - 0.5) <= tolerance


@pytest.mark.parametrize("forged", [False, True], ids=["a wrong password", "a forged nonce"])
@pytest.mark.parametrize(("samples", "tolerance"), [BRIEF, LONG])
def test_no_answer_tells_whom_the_node_remembers(
    system: System,
    kamailio: KamailioNode,
    figures: Figures,
    samples: int,
    tolerance: float,
    *,
    forged: bool,
) -> None:
    kinds = {"unknown": unknown(9), "remembered": remembered(system, kamailio, 3)}
    take = partial(answer_seconds, system, "REGISTER", True, forged=forged)
    found = separations(interleaved(kinds, samples, take))
    tell(figures, f"timing of {'a forged nonce' if forged else 'a guess'}", found)
    assert not beyond(tolerance, found)


def test_a_node_that_believes_its_memory_is_seen(
    stack: Stack, system: System, figures: Figures, tmp_path: Path
) -> None:
    """The control: it makes no query where a wrong password is shown for whom it remembers."""
    believing = {r"\$var\(failure\) = \$rc;\n\t\troute\(DOUBT\);": "$var(failure) = $rc;"}
    with (
        another_node(stack, system, tmp_path, changes=believing) as node,
        vouched(node.kamailio),
    ):
        kinds = {"unknown": unknown(9), "remembered": remembered(node.system, node.kamailio, 3)}
        take = partial(answer_seconds, node.system, "REGISTER", True)
        found = separations(interleaved(kinds, BRIEF[0], take))
    tell(figures, "timing where memory is believed", found)
    assert beyond(BRIEF[1], found) == {"remembered"}


def unknown(count: int) -> list[str]:
    return [f"39099{randbelow(10**9):09d}" for _ in range(count)]


def remembered(system: System, kamailio: KamailioNode, count: int) -> list[str]:
    """Make accounts that the node remembers."""
    names = []
    for _ in range(count):
        line = system.new_line()
        eventually(partial(is_remembered, system, kamailio, line))
        names.append(line.credentials.username)
    return names


def is_remembered(system: System, kamailio: KamailioNode, line: Line) -> bool:
    """Have a phone of an account register, always the same one; say whether the node remembers."""
    place, name = system.internet, line.credentials.username
    headers = {"Contact": f"<sip:{name}@{place.client}:5999>"}
    with Wire(place.registrar, place.client) as wire:
        assert wire.register(line.credentials, headers=headers).status == 200
    try:
        return bool(kamailio.call("htable.get", "cached", name))
    except RpcFailed:
        return False


@contextmanager
def vouched(kamailio: KamailioNode) -> Iterator[None]:
    """Say for a while what a worker says."""
    done = Event()

    def vouch() -> None:
        while not done.is_set():
            kamailio.is_fresh("cache", kamailio.clock() or 0)
            done.wait(0.5)

    thread = Thread(target=vouch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(("samples", "tolerance"), [LONG])
def test_no_kind_of_name_takes_longer(
    system: System, figures: Figures, samples: int, tolerance: float
) -> None:
    found = separations(guesses(system, samples))
    tell(figures, "timing of a guess", found)
    assert not beyond(tolerance, found)


@pytest.mark.parametrize(("samples", "tolerance"), [BRIEF, LONG])
def test_who_is_banned_is_refused_alike(
    system: System, figures: Figures, samples: int, tolerance: float
) -> None:
    found = separations(refusals(system, samples))
    tell(figures, "timing of a ban", found)
    assert not beyond(tolerance, found)


@pytest.mark.parametrize(
    ("change", "measure", "shown"),
    [
        (
            (r"\n\tif \(\$sht\(home=>\$var\(source\)\) == \$null\) return;", ""),
            "refusals",
            {"registered"},
        ),
        (
            (r"mq_add\(\"guessing\".*?\);", f'sql_query("accounts", "{NOTE}");'),
            "guesses",
            {"disabled", "not registered", "registered", "Teams"},
        ),
    ],
    ids=["looks who is registered", "waits until people are told"],
)
@pytest.mark.parametrize(("samples", "tolerance"), [LONG])
def test_a_guard_that_takes_longer_is_seen(
    stack: Stack,
    system: System,
    figures: Figures,
    tmp_path: Path,
    change: tuple[str, str],
    measure: str,
    shown: set[str],
    samples: int,
    tolerance: float,
) -> None:
    with another_node(stack, system, tmp_path, changes=dict([change])) as node:
        take = {"refusals": refusals, "guesses": guesses}[measure]
        found = separations(take(node.system, samples))
    tell(figures, f"timing of {measure} where the guard is weak", found)
    assert shown <= beyond(tolerance, found)
    assert shown == set(sorted(found, key=lambda kind: -abs(found[kind] - 0.5))[: len(shown)])


def test_an_ack_is_no_guess(system: System) -> None:
    """It is answered by nobody, so whoever counts it as one would wait for the answer for ever."""
    question = Question("nobody")
    with stranger(system) as asking:
        challenge = asking.ask(question).challenge
        answer = f'Digest username="nobody", realm="{system.realm}", nonce="0", uri="sip:0"'
        more = {"Proxy-Authorization": f'{answer}, response="{"0" * 32}"'}
        for _ in range(2 * GUESSES):
            asking.send(asking.request("ACK", "nobody", system.realm, more))
        assert asking.guess(question, challenge).shapes[0].startswith(b"SIP/2.0 401 ")


def stranger(system: System) -> Stranger:
    return Stranger(system.internet.registrar, system.realm)


def answer_seconds(
    system: System, method: str, guess: bool, name: str, *, forged: bool = False
) -> float:
    """How long one answer takes, from an address that has never asked before; a guess may answer a
    challenge that was not asked for.
    """
    question = Question(name, method)
    with stranger(system) as asking:
        answer = asking.ask(question)
        if not guess:
            return answer.seconds
        return asking.guess(question, {} if forged else answer.challenge).seconds


def guesses(system: System, samples: int) -> dict[str, list[float]]:
    """How long the answers to guesses take, by the kind of name."""
    return interleaved(
        all_kinds(system, 5, 5), samples, partial(answer_seconds, system, "REGISTER", True)
    )


def refusals(system: System, samples: int) -> dict[str, list[float]]:
    """How long the refusals of who has guessed too often take; all have been told the same."""
    kinds = all_kinds(system, 1, 1)
    with ExitStack() as stack:
        guessers = {name: stack.enter_context(stranger(system)) for (name,) in kinds.values()}
        told = {name: guess_until_banned(guesser, name) for name, guesser in guessers.items()}
        assert len(set(told.values())) == 1
        return interleaved(
            kinds, samples, lambda name: guessers[name].guess(Question(name), {}).seconds
        )


def guess_until_banned(guesser: Stranger, name: str) -> tuple[tuple[bytes, ...], ...]:
    """Guess on, to be refused in the end; all that was said."""
    question = Question(name)
    told = []
    for _ in range(GUESSES + 2):
        told.append(guesser.guess(question, guesser.ask(question).challenge).shapes)
    assert told[0][0].startswith(b"SIP/2.0 401 ")
    assert told[-1][0].startswith(b"SIP/2.0 503 ")
    return tuple(told)


def separations(taken: dict[str, list[float]]) -> dict[str, float]:
    """Compare each kind of names with those that nobody has ever had."""
    return {kind: separation(taken["unknown"], values) for kind, values in taken.items()}


def tell(figures: Figures, what: str, found: dict[str, float]) -> None:
    for kind, value in found.items():
        figures(f"{what} at a name, {kind}, AUC", f"{value:.3f}")


def beyond(tolerance: float, found: dict[str, float]) -> set[str]:
    return {kind for kind, value in found.items() if abs(value - 0.5) > tolerance}
