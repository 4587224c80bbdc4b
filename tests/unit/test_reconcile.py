import pytest

from provisioner.errors import PlanDangerous
from provisioner.reconcile import Action, Limits, Repair, Target, allowlist_repair, check

LIMITS = Limits(share=0.2, floor=10)


def deletions(count: int, target: Target = Target.SUBSCRIBER) -> list[Repair]:
    return [Repair(target, Action.DELETE, str(number), "") for number in range(count)]


def test_a_plan_may_delete_up_to_its_share() -> None:
    check(deletions(200), {Target.SUBSCRIBER: 1000}, LIMITS)


def test_a_plan_that_deletes_more_than_its_share_is_refused() -> None:
    with pytest.raises(PlanDangerous, match="201 of 1000 subscriber"):
        check(deletions(201), {Target.SUBSCRIBER: 1000}, LIMITS)


def test_a_small_system_may_lose_more_than_the_share() -> None:
    check(deletions(10), {Target.SUBSCRIBER: 10}, LIMITS)


def test_each_target_has_its_own_share() -> None:
    present = {Target.SUBSCRIBER: 1000, Target.BINDING: 20}
    with pytest.raises(PlanDangerous, match="11 of 20 binding"):
        check(deletions(150) + deletions(11, Target.BINDING), present, LIMITS)


def test_inserts_and_updates_are_never_dangerous() -> None:
    plan = [
        Repair(Target.SUBSCRIBER, action, str(number), "")
        for action in (Action.INSERT, Action.UPDATE)
        for number in range(100)
    ]
    check(plan, {Target.SUBSCRIBER: 1}, LIMITS)


def test_equal_allowlists_need_no_repair() -> None:
    entries = {(1, "127.0.10.0/24"), (1, "2001:db8::/32")}
    assert allowlist_repair(1, "node1", entries, set(entries)) is None


def test_a_differing_allowlist_is_loaded_again() -> None:
    repair = allowlist_repair(7, "node1", {(1, "127.0.10.0/24")}, {(1, "10.0.0.0/8")})
    assert repair is not None
    assert (repair.action, repair.node_id) == (Action.RELOAD, 7)
    assert "1 entries missing, 1 too many" in str(repair)
