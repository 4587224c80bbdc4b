from provisioner.reconcile import Action, Limits, Repair, Target, difference, split

LIMITS = Limits(share=0.2, floor=10)


def deletions(count: int, target: Target = Target.SUBSCRIBER) -> list[Repair]:
    return [Repair(target, Action.DELETE, str(number), "") for number in range(count)]


def test_a_plan_may_delete_up_to_its_share() -> None:
    plan = deletions(200)
    assert split(plan, {Target.SUBSCRIBER: 1000}, LIMITS) == (plan, "")


def test_deletions_beyond_their_share_are_refused() -> None:
    safe, refusal = split(deletions(201), {Target.SUBSCRIBER: 1000}, LIMITS)
    assert safe == []
    assert "201 of 1000 subscriber" in refusal


def test_a_small_system_may_lose_more_than_the_share() -> None:
    plan = deletions(10)
    assert split(plan, {Target.SUBSCRIBER: 10}, LIMITS) == (plan, "")


def test_each_target_has_its_own_share() -> None:
    fine = deletions(150)
    present = {Target.SUBSCRIBER: 1000, Target.ADDRESS: 20}
    safe, refusal = split(fine + deletions(11, Target.ADDRESS), present, LIMITS)
    assert safe == fine
    assert "11 of 20 address" in refusal


def test_what_is_no_deletion_is_done_even_so() -> None:
    others = [
        Repair(Target.SUBSCRIBER, action, str(number), "")
        for action in (Action.INSERT, Action.UPDATE)
        for number in range(100)
    ]
    safe, refusal = split(others + deletions(11), {Target.SUBSCRIBER: 1}, LIMITS)
    assert safe == others
    assert refusal


def test_equal_allowlists_do_not_differ() -> None:
    assert difference(missing=0, surplus=0) == ""


def test_a_difference_is_put_in_words() -> None:
    words = difference(missing=1, surplus=2)
    assert words == "1 entries missing, 2 too many in the node's memory"
