"""Runs a page's blocks in order in one bash, as they would be pasted, and says what went wrong."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from provisioner.stack.identity import tied_to_us
from tests.docs.pages import Block
from tests.docs.promises import broken

TIMEOUT = 180  # seconds for a page
REFUSED = 22  # curl's exit status for an HTTP error, with --fail-with-body
TAIL = 3000  # characters of a failing block's output that are shown


class PageFailed(AssertionError):
    """A page does not do what it says; names the block and shows what it printed."""


def run(
    blocks: Sequence[Block],
    directory: Path,
    *,
    environ: Mapping[str, str],
    replace: Mapping[str, str] | None = None,
) -> None:
    """Run the blocks in a directory; what they leave running in the background ends with them.

    Args:
        blocks: of one page, in its order.
        directory: where the page's reader would be.
        environ: all variables of the shell.
        replace: what is to be written instead of what the page says, such as another port.

    Raises:
        PageFailed: a command failed, or something that is shown was not printed.
    """
    for number, block in enumerate(blocks):
        text = block.text
        for old, new in (replace or {}).items():
            text = text.replace(old, new)
        _source(directory, number).write_text(text, encoding="utf-8")
    script = "\n".join(["set -e -o pipefail", *_script(blocks, directory)])
    status = _bash(script, directory, environ)
    for number, block in enumerate(blocks):
        output, following = _output(directory, number), _output(directory, number + 1)
        if not output.exists():
            raise PageFailed(f"{block}: not reached, the shell had ended")
        _check(block, output, 0 if following.exists() else status)


def _script(blocks: Sequence[Block], directory: Path) -> Iterator[str]:
    """Give each block a file for its output: the last of these shows how far the page came."""
    for number, block in enumerate(blocks):
        yield f"exec >{_output(directory, number)} 2>&1"
        if block.refused is None:
            yield f". {_source(directory, number)}"
        else:
            yield f"set +e; . {_source(directory, number)}; (($? == {REFUSED})); set -e"


def _bash(script: str, directory: Path, environ: Mapping[str, str]) -> int | None:
    """Run a script; return its exit status, or None if it took too long."""
    bash = subprocess.Popen(
        tied_to_us(["bash", "-c", script], signal.SIGKILL),
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return bash.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(bash)


def _end(bash: subprocess.Popen[bytes]) -> None:
    """End the shell and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(bash.pid, signal.SIGKILL)
    bash.wait()


def _check(block: Block, output: Path, status: int | None) -> None:
    """Compare what a block did with what its page says; `status` is that of the shell."""
    printed = output.read_text(encoding="utf-8", errors="replace")
    reasons = []
    if status != 0:
        reasons.append("took too long" if status is None else f"exit status {status}")
    if block.refused and not re.search(f'"status": ?{block.refused}\\b', printed):
        reasons.append(f"was not refused with {block.refused}")
    reasons += filter(None, (broken(shown, printed) for shown in block.shown))
    if reasons:
        raise PageFailed(
            f"{block}: {'; '.join(reasons)}\n--- the block\n{block.text}"
            f"--- what it printed\n{printed[-TAIL:]}"
        )


def _source(directory: Path, number: int) -> Path:
    return directory / f".block-{number}.sh"


def _output(directory: Path, number: int) -> Path:
    return directory / f".block-{number}.output"
