"""Runs `provisioner` commands, each in a process of its own, without the time that Python's imports
take: a process that has imported the program waits, and each command is a fork of it.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provisioner.cli import main


class CliServer:
    """The process that waits; `folder` is for what commands print."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._files = {"stdout": folder / "stdout", "stderr": folder / "stderr"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], environ: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with just these variables and nothing to read; wait until it ends."""
        assert self._process.stdin
        assert self._process.stdout
        files = {name: str(path) for name, path in self._files.items()}
        request = {"arguments": arguments, "environ": dict(environ)} | files
        print(json.dumps(request), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        printed = {name: path.read_text(encoding="utf-8") for name, path in self._files.items()}
        return subprocess.CompletedProcess(["provisioner", *arguments], status, **printed)

    def stop(self) -> None:
        """End the process, which has nothing more to read."""
        with self._process:  # closes its input, and waits for it
            pass


def serve() -> None:
    """Do what standard input asks for, one command a line, and answer with its exit code."""
    gc.freeze()  # else each child copies all of the memory to see what in it is garbage
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.exit(command(json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - an answer


def command(request: Mapping[str, Any]) -> int:
    """Be the command that was asked for."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    return main(request["arguments"])


if __name__ == "__main__":
    serve()
