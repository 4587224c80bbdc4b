from dataclasses import dataclass
from pathlib import Path

from provisioner.stack.errors import StackError
from provisioner.stack.supervisor import FIRST_DELAY, LONGEST_DELAY, STEADY, Watch


@dataclass
class Mortal:
    """A process that dies when the test says so."""

    name: str = "worker"
    wanted: bool = True
    ending: str = "exit status 1"
    log: Path = Path("worker.log")
    running: bool = True
    starts: int = 0
    broken: bool = False

    def start(self) -> None:
        """Live again, unless it is broken."""
        self.starts += 1
        if self.broken:
            raise StackError("no such program")
        self.running = True


def test_what_died_is_started_again_after_a_while() -> None:
    process = Mortal()
    watch = Watch(process, started=0.0)
    assert watch.look(1.0) is None
    process.running = False
    assert "exit status 1" in (watch.look(2.0) or "")
    assert watch.look(2.0 + FIRST_DELAY / 2) is None
    assert not process.starts
    assert watch.look(2.0 + FIRST_DELAY) == "worker started again"
    assert process.running


def test_what_was_stopped_on_purpose_stays_stopped() -> None:
    process = Mortal(running=False, wanted=False)
    assert Watch(process, started=0.0).look(99.0) is None
    assert not process.starts


def test_it_waits_longer_after_each_death_but_not_for_ever() -> None:
    process, now, delays = Mortal(), 0.0, []
    watch = Watch(process, started=now)
    for _ in range(10):
        process.running = False
        watch.look(now)
        delays.append(watch.delay)
        now += watch.delay
        watch.look(now)
    assert delays[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert delays[-1] == LONGEST_DELAY


def test_a_long_life_is_a_new_beginning() -> None:
    process = Mortal()
    watch = Watch(process, started=0.0)
    for now in (1.0, 10.0, 20.0 + STEADY):
        process.running = False
        watch.look(now)
        watch.look(now + watch.delay)
    assert watch.delay == FIRST_DELAY


def test_a_start_that_fails_is_told_and_tried_again() -> None:
    process = Mortal(running=False, broken=True)
    watch = Watch(process, started=0.0)
    watch.look(1.0)
    assert "no such program" in (watch.look(2.0) or "")
    watch.look(3.0)
    process.broken = False
    assert watch.look(10.0) == "worker started again"
