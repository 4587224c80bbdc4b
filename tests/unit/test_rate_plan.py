"""What a file of rates changes among those that are there."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from provisioner.pricing import Rate, Side
from provisioner.rate_plan import BEGINS_THEN, IN_FORCE_THEN, NEW, RatePlan, chained, plan
from tests.unit.test_pricing import RATE

NOW = datetime(2026, 6, 15, tzinfo=UTC)


def month(number: int) -> datetime:
    return datetime(2026, number, 1, tzinfo=UTC)


def rate(since: int, price: str = "1", until: int | None = None, id: int = NEW) -> Rate:  # noqa: A002 - the field's name
    end = month(until) if until else None
    return replace(
        RATE,
        id=id,
        price_per_minute=Decimal(price),
        valid_from=month(since),
        valid_until=end,
        stated_until=end,
    )


def planned(present: list[Rate], *wanted: Rate) -> RatePlan:
    return plan(present, [(line, one) for line, one in enumerate(wanted, 2)], NOW)


def spans(rates: list[Rate]) -> list[tuple[int, int | None]]:
    ordered = sorted(rates, key=lambda one: one.valid_from)
    return [
        (one.valid_from.month, one.valid_until.month if one.valid_until else None)
        for one in ordered
    ]


def test_a_rate_ends_the_one_before() -> None:
    done = planned([rate(1, id=1)], rate(8, "2"))
    assert spans(done.added) == [(8, None)]
    assert [(one.id, *span) for one, span in zip(done.ended, spans(done.ended), strict=True)] == [
        (1, 1, 8)
    ]


def test_a_rate_fits_in_before_a_later_one() -> None:
    present = chained([rate(1, id=1), rate(10, "3", id=2)])
    done = planned(present, rate(8, "2"))
    assert (spans(done.added), spans(done.ended)) == ([(8, 10)], [(1, 8)])


def test_a_stated_end_is_kept_where_nothing_follows_before_it() -> None:
    done = planned([], rate(7, until=8), rate(9, "2", until=12), rate(10, "3"))
    assert spans(done.added) == [(7, 8), (9, 10), (10, None)]


def test_the_past_is_not_rewritten() -> None:
    done = planned([rate(1, id=1)], rate(3, "2"), rate(6, "2"))
    assert [(one.line, one.rule) for one in done.refusals] == [
        (2, IN_FORCE_THEN),
        (3, IN_FORCE_THEN),
    ]


def test_a_past_that_had_no_rate_can_get_one() -> None:
    present = [rate(1, until=2, id=1), rate(5, id=2)]
    done = planned(present, rate(3, "2"))
    assert (spans(done.added), done.ended, done.refusals) == ([(3, 5)], [], [])


def test_a_file_may_tell_a_whole_past() -> None:
    done = planned([], rate(4, "3"), rate(1, "1"), rate(2, "2"))
    assert spans(done.added) == [(1, 2), (2, 4), (4, None)]


def test_the_same_file_again_changes_nothing() -> None:
    present = chained([rate(1, id=1), rate(3, "2", id=2), rate(8, "3", id=3)])
    done = planned(present, rate(1), rate(3, "2"), rate(8, "3"))
    assert done == RatePlan([], [], 3, [])


def test_a_later_rate_is_not_replaced_unseen() -> None:
    done = planned([rate(8, id=1)], rate(8, "2"))
    assert [one.rule for one in done.refusals] == [BEGINS_THEN]


def test_a_line_does_not_repeat_another() -> None:
    done = planned([], rate(8), rate(8))
    assert [(one.line, one.rule) for one in done.refusals] == [
        (3, "is that of the same prefix in line 2")
    ]


def test_sides_and_prefixes_are_apart() -> None:
    present = [rate(1, id=1)]
    done = planned(
        present, replace(rate(1, "2"), prefix="+3"), replace(rate(1), side=Side.OPERATOR)
    )
    assert (len(done.added), done.ended, done.refusals) == (2, [], [])
