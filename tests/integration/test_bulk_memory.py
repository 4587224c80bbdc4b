"""Imports and exports take the same memory whatever their length."""

import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.importing import accounts_file, file_of, numbers
from tests.integration.test_cli import environment

SMALL, LARGE = 10_000, 200_000  # lines
ALLOWED = 1.2  # times as much

pytestmark = pytest.mark.timeout(600)


# A process inherits the peak of the one that started it, so a small one does.
LAUNCHER = """
import resource, subprocess, sys
with open(sys.argv[1], "wb") as output:
    subprocess.run(sys.argv[2:], stdout=output, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(environ: dict[str, str], folder: Path, *arguments: str) -> int:
    """Run a command, and return the most memory that it had (KiB, resident)."""
    program = str(Path(sys.executable).with_name("provisioner"))
    command = [sys.executable, "-c", LAUNCHER, str(folder / "output"), program, *arguments]
    return int(subprocess.run(command, env=environ, check=True, capture_output=True).stdout)


def test_memory_stays_flat(stack: Stack, settings: Settings, tmp_path: Path) -> None:
    environ = environment(stack, settings)
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    peaks: dict[str, list[int]] = {"numbers": [], "accounts": [], "export": []}
    everything = numbers(SMALL + LARGE)
    for wanted in (everything[:SMALL], everything[SMALL:]):
        file = tmp_path / "file.csv"
        file.write_text(file_of("number", wanted))
        peaks["numbers"].append(peak(environ, tmp_path, "import", "numbers", str(file)))
        file.write_text(accounts_file(wanted))
        output = tmp_path / f"{len(wanted)}.age"
        options = ("--recipient", recipient, "--output", str(output))
        peaks["accounts"].append(peak(environ, tmp_path, "import", "accounts", str(file), *options))
        peaks["export"].append(peak(environ, tmp_path, "export", "accounts"))
    for small, large in peaks.values():
        assert large <= ALLOWED * small, peaks
