"""Runs benchmarks, each on a system of its own, and prints one table."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from benchmarks import bulk, calls, console, create, disable, records, register, scale
from benchmarks.load import CallsFailed
from benchmarks.processor import Noise
from benchmarks.progress import say
from benchmarks.table import Row, render
from provisioner.stack.environment import RPC_ROOT
from provisioner.stack.errors import StackError
from provisioner.stack.stack import Stack


@dataclass(frozen=True)
class Benchmark:
    """What measures, what to know about its figures, and the variables of its stack."""

    run: Callable[[Stack], Iterator[Row]]
    note: str
    environ: Mapping[str, str] = field(default_factory=dict)


BENCHMARKS = {
    "bulk": Benchmark(bulk.run, bulk.NOTE),
    "calls": Benchmark(calls.run, calls.NOTE, calls.ENVIRON),
    "console": Benchmark(console.run, console.NOTE, console.ENVIRON),
    "create": Benchmark(create.run, create.NOTE),
    "disable": Benchmark(disable.run, disable.NOTE),
    "records": Benchmark(records.run, records.NOTE, console.ENVIRON),
    "register": Benchmark(register.run, register.NOTE, register.ENVIRON),
    "register-many": Benchmark(register.run_many, register.NOTE, register.ENVIRON),
    "scale": Benchmark(scale.run, scale.NOTE, scale.ENVIRON),
}

ROOT = {RPC_ROOT: token_hex(32)}  # bindings are made by hand


def main() -> int:
    """Run the benchmarks that the command line names, or all; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}, only {', '.join(BENCHMARKS)}")
    began = time.monotonic()
    failures = _run(names)
    say(f"{time.monotonic() - began:.0f} s")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


def _run(names: Sequence[str]) -> list[str]:
    """Run benchmarks and print what they found; return what failed."""
    rows: list[Row] = []
    notes = []
    failures = []
    for name in names:
        noise = Noise()
        try:
            rows += _measure(BENCHMARKS[name])
            notes.append(f"\n{name}: {BENCHMARKS[name].note}\nMeanwhile {noise}.")
        except (StackError, CallsFailed) as error:
            failures.append(f"{name}: {error}")
    print(render(rows))
    print(f"\nEach figure is the median of the rounds (smallest-largest); {_machine()}.")
    print("\n".join(notes))
    return failures


def _measure(benchmark: Benchmark) -> list[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        Stack(Path(folder) / "stack", environ={**ROOT, **benchmark.environ}, report=say) as stack,
    ):
        return list(benchmark.run(stack))


def _machine() -> str:
    today = datetime.now(UTC).date().isoformat()
    return (
        f"{today}, {_processor()}, {os.cpu_count()} of them, all sides and the load on the same "
        f"machine"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
