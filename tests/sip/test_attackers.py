"""A common cracker finds nothing here, and would find it where passwords are weak."""

from pathlib import Path

import pytest

from tests.sip.attacks.leaky import WEAK, leaky_registrar
from tests.sip.clients import svcrack
from tests.system import System

COMMON_PASSWORDS = ["123456", "password", "390600000001", "letmein", "admin", "secret"]

pytestmark = pytest.mark.native  # the control is a Kamailio of its own


def test_svcrack_finds_a_weak_password_where_it_may_guess(tmp_path: Path) -> None:
    with leaky_registrar(tmp_path) as leaky:
        result = svcrack(leaky, "127.0.20.1", WEAK.username, COMMON_PASSWORDS, realm=WEAK.realm)
    assert result.password == WEAK.password


def test_svcrack_finds_no_password_here(system: System) -> None:
    line = system.new_line()
    place = system.internet
    guesses = [*COMMON_PASSWORDS, line.credentials.username, line.number]
    result = svcrack(
        place.registrar, place.client, line.credentials.username, guesses, realm=system.realm
    )
    assert result.finished
    assert result.guesses >= len(guesses)
    assert result.password is None
