"""An address may guess at a password some times a minute; guessing from many addresses is told."""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import pytest

from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.guessing import HASTE, for_seconds, guess, new_address, new_addresses
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Credentials, Wire, svcrack
from tests.sip.conftest import Database
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native  # starts nodes of its own

PAIR_LIMIT, ADDRESS_LIMIT = 10, 60  # guesses in any minute that nobody may exceed
ALERT_AT = 10  # addresses; SUSPECTS_TOLD in kamailio/defines.cfg
NO_LIMIT = {"KAMAILIO_GUESSES_PER_MINUTE": "0"}
LIMITS = {"KAMAILIO_ADDRESS_GUESSES": "25"}  # the default; the stack's own node has none


@pytest.fixture(scope="module")
def guarded(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Node]:
    """A node with the limits that it has by default."""
    with another_node(stack, system, tmp_path_factory.mktemp("guarded"), environ=LIMITS) as node:
        yield node


@pytest.fixture(scope="module")
def unguarded(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Node]:
    """The control: a node where anybody may guess as often as he likes."""
    folder = tmp_path_factory.mktemp("unguarded")
    with another_node(stack, system, folder, environ=LIMITS | NO_LIMIT) as node:
        yield node


# svcrack, with the right password behind more wrong ones than it may try.


def crack(node: Node, line: Line) -> Any:
    registrar, credentials = node.system.internet.registrar, line.credentials
    guesses = [*(f"guess{number}" for number in range(30)), credentials.password]
    realm = credentials.realm
    return svcrack(registrar, new_address(), credentials.username, guesses, realm=realm)


def test_svcrack_does_not_come_to_the_right_password(guarded: Node, system: System) -> None:
    assert crack(guarded, system.new_line()).password is None


def test_svcrack_comes_to_it_where_it_may_guess(unguarded: Node, system: System) -> None:
    line = system.new_line()
    assert crack(unguarded, line).password == line.credentials.password


# One address, one account.


def one_account(node: Node, username: str, seconds: float) -> Any:
    registrar = node.system.internet.registrar
    names = for_seconds(seconds, username)
    return guess(registrar, new_address(), node.system.realm, names)


@pytest.mark.parametrize("seconds", [3, pytest.param(130, marks=pytest.mark.attack)])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_an_account_is_guessed_at_ten_times_a_minute_at_most(
    guarded: Node, system: System, figures: Figures, seconds: int, known: bool
) -> None:
    username = system.new_line().credentials.username if known else "390000000404"
    guesses = one_account(guarded, username, seconds)
    figures(f"guesses a minute, an address and account ({seconds} s)", guesses.most_in_a_minute)
    assert 0 < guesses.most_in_a_minute <= PAIR_LIMIT
    assert guesses.refused > 0
    assert guesses.dropped == 0


def test_without_a_limit_an_account_is_guessed_at_more_often(
    unguarded: Node, system: System, figures: Figures
) -> None:
    guesses = one_account(unguarded, system.new_line().credentials.username, 3)
    figures("the same without a limit (3 s)", guesses.most_in_a_minute)
    assert guesses.most_in_a_minute > PAIR_LIMIT
    assert (guesses.refused, guesses.dropped) == (0, 0)


def by_two_methods(node: Node, system: System) -> tuple[int, int]:
    """Guess five times by REGISTER and ten times by MESSAGE; return how many were looked at."""
    registrar, source = node.system.internet.registrar, new_address()
    username = system.new_line().credentials.username
    first = guess(registrar, source, system.realm, [username] * 5)
    second = guess(registrar, source, system.realm, [username] * 10, method="MESSAGE")
    return first.number, second.number


def test_all_methods_count_together(guarded: Node, system: System) -> None:
    assert by_two_methods(guarded, system) == (5, 5)


def test_without_a_limit_none_does(unguarded: Node, system: System) -> None:
    assert by_two_methods(unguarded, system) == (5, 10)


# One address, many accounts.


def many_accounts(node: Node, system: System, number: int) -> Any:
    some = [system.new_line().credentials.username for _ in range(3)]
    names = [*some, *(f"39099{one:07d}" for one in range(number - len(some)))]
    registrar = node.system.internet.registrar
    return guess(registrar, new_address(), system.realm, names, patience=HASTE)


@pytest.mark.parametrize("accounts", [70, pytest.param(1000, marks=pytest.mark.attack)])
def test_all_accounts_together_are_guessed_at_sixty_times_a_minute_at_most(
    guarded: Node, system: System, figures: Figures, accounts: int
) -> None:
    guesses = many_accounts(guarded, system, accounts)
    figures(f"guesses a minute, an address ({accounts} accounts)", guesses.most_in_a_minute)
    assert 0 < guesses.most_in_a_minute <= ADDRESS_LIMIT
    assert guesses.dropped > 0


def test_without_a_limit_all_accounts_are_guessed_at(
    unguarded: Node, system: System, figures: Figures
) -> None:
    guesses = many_accounts(unguarded, system, 70)
    figures("the same without a limit (70 accounts)", guesses.most_in_a_minute)
    assert guesses.most_in_a_minute > ADDRESS_LIMIT


# Many addresses, one account: no ban can help against that, so people are told.


def findings(line: Line) -> list[str]:
    found = line.api.get(f"{line.path}/diagnosis").expect(200)["findings"]
    return [finding["code"] for finding in found]


def told(database: Database, line: Line) -> int:
    """From how many addresses this account is guessed at, once hooks were told of it."""
    query = (
        "SELECT addresses FROM provisioner.guessing WHERE account_id = %s AND told_at IS NOT NULL"
    )
    row = database.execute(query, [line.id]).fetchone()
    return int(row["addresses"]) if row else 0


def from_many(node: Node, line: Line, addresses: int, each: int) -> list[Any]:
    registrar, username = node.system.internet.registrar, line.credentials.username
    realm = node.system.realm
    return [
        guess(registrar, source, realm, [username] * each) for source in new_addresses(addresses)
    ]


@pytest.mark.parametrize(
    ("addresses", "each"), [(14, 1), pytest.param(100, 20, marks=pytest.mark.attack)]
)
def test_guessing_from_many_addresses_is_told(
    guarded: Node,
    system: System,
    database: Database,
    figures: Figures,
    addresses: int,
    each: int,
) -> None:
    line = system.new_line()
    guesses = from_many(guarded, line, addresses, each)
    figures(f"most guesses of one of {addresses} addresses", max(one.number for one in guesses))
    assert max(one.most_in_a_minute for one in guesses) <= PAIR_LIMIT
    assert eventually(lambda: told(database, line)) >= ALERT_AT
    assert "guessing_suspected" in findings(line)


def test_guessing_from_few_addresses_is_not_told(
    guarded: Node, system: System, database: Database
) -> None:
    line, control = system.new_line(), system.new_line()
    from_many(guarded, line, ALERT_AT - 1, 1)
    from_many(guarded, control, 2 * ALERT_AT, 1)
    eventually(lambda: told(database, control))
    assert "guessing_suspected" not in findings(line)
    assert told(database, line) == 0


# Whoever can write another's address into UDP packets has no nonce that was made for it.


@pytest.fixture(scope="module")
def gullible(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Node]:
    """The control: a node whose nonces are good for any source."""
    folder = tmp_path_factory.mktemp("gullible")
    changes = {
        r'"auth_checks_register", 9': '"auth_checks_register", 1',
        r'"auth_checks_no_dlg", 9': '"auth_checks_no_dlg", 1',
    }
    with another_node(stack, system, folder, changes=changes, environ=LIMITS) as node:
        yield node


def forge(node: Node, line: Line, victim: str) -> None:
    """Guess in the name of an address whose answers one does not get, with nonces of one's own."""
    registrar = node.system.internet.registrar
    wrong = Credentials(line.credentials.username, "notthepassword", node.system.realm)
    with Wire(registrar, new_address()) as own, Wire(registrar, victim) as forged:
        for _ in range(3 * PAIR_LIMIT):
            challenge = own.exchange(own.register_request(wrong)).challenge
            forged.exchange(forged.register_request(wrong, challenge=challenge))


def banned(node: Node) -> set[str]:
    return {ban.source for ban in node.kamailio.bans()}


def test_who_forges_an_address_does_not_ban_it(guarded: Node, system: System) -> None:
    line, victim = system.new_line(), new_address()
    registrar = guarded.system.internet.registrar
    with Wire(registrar, victim) as device:
        assert device.register(line.credentials).status == 200
        forge(guarded, line, victim)
        assert victim not in banned(guarded)
        assert device.register(line.credentials).status == 200


def test_where_a_nonce_is_good_for_any_source_he_does(gullible: Node, system: System) -> None:
    line, victim = system.new_line(), new_address()
    forge(gullible, line, victim)
    assert victim in banned(gullible)


# Nobody is locked out by what others do.


def lock_out(node: Node, line: Line, guesses: int, addresses: int) -> list[int]:
    """Guess at an account from many addresses; return what its device, which registers between the
    guesses, is answered: at its own address, and once more from another.
    """
    registrar, username = node.system.internet.registrar, line.credentials.username
    sources = new_addresses(addresses)
    statuses = []
    with Wire(registrar, new_address()) as device:
        statuses.append(device.register(line.credentials).status)
        for source in islice(cycle(sources), guesses // PAIR_LIMIT):
            guess(registrar, source, node.system.realm, [username] * PAIR_LIMIT)
            statuses.append(device.register(line.credentials).status)
    with Wire(registrar, new_address()) as moved:
        statuses.append(moved.register(line.credentials).status)
    return statuses


@pytest.mark.parametrize("guesses", [200, pytest.param(10_000, marks=pytest.mark.attack)])
def test_guesses_from_elsewhere_do_not_lock_a_device_out(
    guarded: Node, system: System, figures: Figures, guesses: int
) -> None:
    statuses = lock_out(guarded, system.new_line(), guesses, addresses=10)
    accepted = statuses.count(200)
    figures(f"registered during {guesses} guesses", f"{accepted} of {len(statuses)}")
    assert accepted == len(statuses)


@pytest.fixture(scope="module")
def hasty(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Node]:
    """The control: a node that bans an account, wherever the guesses came from."""
    changes = {r"\$var\(pair\) = \$_s\(\$var\(source\) ": "$var(pair) = $_s(127.0.0.1 "}
    folder = tmp_path_factory.mktemp("hasty")
    with another_node(stack, system, folder, changes=changes, environ=LIMITS) as node:
        yield node


def test_where_accounts_are_banned_they_do(hasty: Node, system: System) -> None:
    statuses = lock_out(hasty, system.new_line(), 200, addresses=10)
    assert statuses[-1] == 503


def at_home(node: Node, system: System) -> tuple[bool, int]:
    """Ban an address where a device is registered; say whether it is, and what the device gets."""
    line, source, registrar = system.new_line(), new_address(), node.system.internet.registrar
    with Wire(registrar, source, timeout=1.0) as device:
        assert device.register(line.credentials).status == 200
        names = [f"39098{one:07d}" for one in range(30)]
        guess(registrar, source, system.realm, names, patience=HASTE)
        return source in banned(node), device.register(line.credentials).status


def test_a_device_that_is_registered_gets_through_where_its_address_is_banned(
    guarded: Node, system: System
) -> None:
    assert at_home(guarded, system) == (True, 200)


@pytest.fixture(scope="module")
def homeless(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Node]:
    """The control: a node that does not ask who is registered from an address."""
    changes = {
        r" \|\| \$sht\(home=>\$var\(source\)\) != \$null": "",
        r"if \(\$var\(at_home\) >= \$var\(nearness\)\)": "if ($var(at_home) > 2)",
    }
    folder = tmp_path_factory.mktemp("homeless")
    with another_node(stack, system, folder, changes=changes, environ=LIMITS) as node:
        yield node


def test_where_nobody_is_asked_for_it_does_not(homeless: Node, system: System) -> None:
    assert at_home(homeless, system) == (True, 0)


def beside(node: Node, system: System) -> list[int]:
    """Guess at an account from the address where its device is registered; return what the device
    is answered then, and who has the right password and sends from another port.
    """
    line, source, registrar = system.new_line(), new_address(), node.system.internet.registrar
    with Wire(registrar, source) as device, Wire(registrar, source) as other:
        assert device.register(line.credentials).status == 200
        guess(registrar, source, system.realm, [line.credentials.username] * PAIR_LIMIT)
        return [one.register(line.credentials).status for one in (device, other)]


def test_a_device_gets_through_where_somebody_beside_it_guesses_at_its_account(
    guarded: Node, system: System
) -> None:
    """Another device there has to wait: nothing tells it from the one that guesses."""
    assert beside(guarded, system) == [200, 503]


def test_where_its_port_is_not_asked_for_it_does_not(homeless: Node, system: System) -> None:
    assert beside(homeless, system) == [503, 503]
