from datetime import UTC, datetime

import pytest

from provisioner.attempt import Attempt, Reason

LINE = "390612345678 1767225600 password udp 203.0.113.7 5060 REGISTER Desk phone 2 | x"


def test_an_attempt_is_read_as_the_node_wrote_it() -> None:
    assert Attempt.parse(LINE) == Attempt(
        username="390612345678",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        reason=Reason.PASSWORD,
        transport="udp",
        source="203.0.113.7",
        port=5060,
        method="REGISTER",
        user_agent="Desk phone 2 | x",
    )


def test_a_device_without_a_name_has_none() -> None:
    assert Attempt.parse(LINE.partition(" Desk")[0] + " -").user_agent == ""


@pytest.mark.parametrize(
    "text", ["", "x", LINE.replace("password", "x"), LINE.replace("1767225600", "now")]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Attempt.parse(text)


@pytest.mark.parametrize("reason", Reason)
def test_only_a_wrong_password_is_anybodys(reason: Reason) -> None:
    attempt = Attempt.parse(LINE.replace("password", reason))
    assert attempt.knew_the_password is (reason is not Reason.PASSWORD)
