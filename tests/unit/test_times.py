"""Times as they are shown."""

from datetime import UTC, datetime, timedelta, timezone

from provisioner.times import rfc_3339

NOON = datetime(2026, 1, 31, 12, 0, 1, 42_999, tzinfo=UTC)


def test_a_time_is_shown_in_utc_to_the_millisecond() -> None:
    assert rfc_3339(NOON) == "2026-01-31T12:00:01.042Z"
    assert rfc_3339(NOON.astimezone(timezone(timedelta(hours=2)))) == "2026-01-31T12:00:01.042Z"


def test_a_time_may_be_shown_to_the_second() -> None:
    assert rfc_3339(NOON, "seconds") == "2026-01-31T12:00:01Z"
