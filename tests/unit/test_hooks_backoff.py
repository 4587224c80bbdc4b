from datetime import timedelta

from provisioner.hooks.backoff import GIVE_UP_AFTER, next_delay


def test_retries_come_soon_at_first_then_rarer_for_three_days() -> None:
    age = timedelta()
    delays: list[timedelta] = []
    while (delay := next_delay(len(delays) + 1, age, 0.5)) is not None:
        age += delay
        delays.append(delay)
    assert [delay.total_seconds() for delay in delays[:4]] == [5, 30, 120, 600]
    assert delays[:8] == sorted(delays[:8])
    assert max(delays) == timedelta(hours=4)
    assert age == GIVE_UP_AFTER
    assert 20 < len(delays) < 30


def test_retries_of_deliveries_that_failed_together_spread() -> None:
    soonest, latest = (next_delay(3, timedelta(), chance) for chance in (0.0, 1.0))
    assert (soonest, latest) == (timedelta(seconds=96), timedelta(seconds=144))


def test_after_three_days_it_is_given_up() -> None:
    assert next_delay(30, GIVE_UP_AFTER, 0.5) is None
