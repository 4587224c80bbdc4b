import pytest

from provisioner.model import AccountState, is_e164, username_of


@pytest.mark.parametrize(
    "number", ["+390612345678", "+12025550123", "+3906123", "+123456789012345"]
)
def test_a_number_in_e164_format_is_accepted(number: str) -> None:
    assert is_e164(number)


@pytest.mark.parametrize(
    "number",
    [
        "", "+", "390612345678", "0612345678", "+0612345678", "+39 06 12345678", "+39061",
        "+1234567890123456", "+39061234567a", "+390612345678\n", "+３９０６１２３４５６７",
    ],
)  # fmt: skip
def test_anything_else_is_no_e164_number(number: str) -> None:
    assert not is_e164(number)


def test_the_username_is_the_main_numbers_digits() -> None:
    assert username_of("+390612345678") == "390612345678"


def test_only_a_disabled_account_may_not_register() -> None:
    assert [state for state in AccountState if not state.may_register] == [AccountState.DISABLED]
