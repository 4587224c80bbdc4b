from datetime import UTC, datetime, timedelta

import pytest

from provisioner.ban import Ban, key_of, source_of
from provisioner.cli.packet_filter import table

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = "1767225600 1767225660 10"


def ban(source: str, seconds: int = 60) -> Ban:
    return Ban.parse(source, f"1767225600 {1767225600 + seconds} 25")


def test_a_ban_is_read_as_the_node_wrote_it() -> None:
    assert Ban.parse("203.0.113.7 390612345678", TIMES) == Ban(
        key="203.0.113.7 390612345678",
        source="203.0.113.7",
        username="390612345678",
        since=SINCE,
        until=SINCE + timedelta(seconds=60),
        guesses=10,
    )


def test_without_an_account_it_is_for_all() -> None:
    assert Ban.parse("203.0.113.7", TIMES).username is None


def test_a_network_is_written_short_and_keeps_its_key() -> None:
    one = Ban.parse("2001:db8:0:40::/64", TIMES)
    assert (one.source, one.key) == ("2001:db8:0:40::/64", "2001:db8:0:40::/64")
    assert Ban.parse("2001:db8:0:0::/64", TIMES).source == "2001:db8::/64"


@pytest.mark.parametrize(
    ("key", "value"),
    [("", TIMES), ("phone.example", TIMES), ("203.0.113.7", ""), ("203.0.113.7", "1 2 x")],
)
def test_anything_else_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Ban.parse(key, value)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:40::7", "2001:db8:0:40::/64"),
        ("2001:DB8:0:40::/64", "2001:db8:0:40::/64"),
    ],
)
def test_what_is_banned_is_an_address_or_the_network_of_ipv6(address: str, source: str) -> None:
    assert source_of(address) == source


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::7", "2001:db8:0:0::/64"),
        ("2001:db8:0:40::7", "2001:db8:0:40::/64"),
        ("::1", "0:0:0:0::/64"),
    ],
)
def test_a_source_has_the_key_that_a_node_gives_it(address: str, key: str) -> None:
    assert key_of(source_of(address)) == key


@pytest.mark.parametrize(
    "text", ["", "phone", "203.0.113.7 ", "203.0.113.0/24", "203.0.113.7:5060"]
)
def test_what_is_no_address_has_no_source(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        source_of(text)


def test_a_packet_filter_has_each_address_for_as_long_as_it_is_banned() -> None:
    found = [ban("203.0.113.7"), ban("2001:db8:0:40::/64", 90), ban("203.0.113.8", 20)]
    written = table(found, 5070, SINCE + timedelta(seconds=30))
    assert "elements = { 203.0.113.7 timeout 30s }" in written
    assert "elements = { 2001:db8:0:40::/64 timeout 60s }" in written
    assert "203.0.113.8" not in written
    assert written.count("th dport { 5061, 5070 }") == 2


def test_a_packet_filter_without_bans_has_empty_sets() -> None:
    assert "elements" not in table([], 5060, SINCE)
