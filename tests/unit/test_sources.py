import pytest

from provisioner.sources import Sources

CLOUDFIRE = ["127.0.10.0/24", "2001:db8:10::/48"]
ANYWHERE = Sources(cloudfire=False)
INSIDE = Sources(cloudfire=True)
OFFICE = Sources(cloudfire=False, own=("198.51.100.0/24", "2001:db8:20::/48"))
EITHER = Sources(cloudfire=True, own=OFFICE.own)


@pytest.mark.parametrize(
    ("sources", "source", "admitted"),
    [
        (ANYWHERE, "203.0.113.7", True),
        (INSIDE, "127.0.10.1", True),
        (INSIDE, "2001:db8:10::1", True),
        (INSIDE, "198.51.100.7", False),
        (OFFICE, "198.51.100.7", True),
        (OFFICE, "2001:db8:20::1", True),
        (OFFICE, "127.0.10.1", False),
        (EITHER, "127.0.10.1", True),
        (EITHER, "198.51.100.7", True),
        (EITHER, "203.0.113.7", False),
        (EITHER, "not an address", False),
    ],
)
def test_a_source_is_let_in_or_not(sources: Sources, source: str, admitted: bool) -> None:
    assert sources.admit(source, CLOUDFIRE) is admitted


def test_cloudfire_only_without_a_network_lets_nobody_in() -> None:
    assert not INSIDE.admit("127.0.10.1", [])


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (ANYWHERE, ANYWHERE, True),
        (OFFICE, ANYWHERE, True),
        (ANYWHERE, OFFICE, False),
        (ANYWHERE, INSIDE, False),
        (INSIDE, EITHER, True),
        (OFFICE, EITHER, True),
        (EITHER, INSIDE, False),
        (EITHER, OFFICE, False),
        (INSIDE, OFFICE, False),
        (Sources(False, ("10.1.0.0/16",)), Sources(False, ("10.0.0.0/8",)), True),
        (Sources(False, ("10.0.0.0/8",)), Sources(False, ("10.1.0.0/16",)), False),
        (Sources(False, ("::/8",)), Sources(False, ("0.0.0.0/8",)), False),
        (Sources(False, ("0.0.0.0/8",)), Sources(False, ("::/8",)), False),
    ],
)
def test_a_change_keeps_all_that_was_let_in_or_not(
    before: Sources, after: Sources, kept: bool
) -> None:
    assert after.cover(before) is kept
