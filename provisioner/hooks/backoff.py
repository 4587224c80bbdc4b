"""When a delivery that failed is tried again: soon at first, then rarer, for three days."""

from datetime import timedelta

GIVE_UP_AFTER = timedelta(days=3)  # from the first attempt's due time
JITTER = 0.2  # share of a delay by which it may be longer or shorter
STEPS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
)


def next_delay(attempts: int, age: timedelta, chance: float) -> timedelta | None:
    """Return how long to wait after `attempts` failures; None where it is time to give up.

    `age` is the time since the delivery was first due; `chance` (0 to 1) spreads the retries of
    deliveries that failed together. The last attempt is made when three days are over.
    """
    if age >= GIVE_UP_AFTER:
        return None
    step = STEPS[min(attempts, len(STEPS)) - 1]
    delay = step * (1 + JITTER * (2 * chance - 1))
    return min(delay, GIVE_UP_AFTER - age)
