"""SIPVicious 0.3.8: svwar looks for account names, svcrack for passwords.

Both report false passes: read `compared` and `guesses` before believing that nothing was found,
and let the same call find something on a server that leaks.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .process import free_port, run_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .model import Registrar

USER_AGENT = "Yealink SIP-T46U"
"""What the tools call themselves here, so that they are not dropped for their name."""

_LAUNCHER = Path(__file__).with_name("sipvicious_launcher.py")
_ROW = re.compile(r"^\| (\S+) +\| (.+?) +\|$", re.MULTILINE)
_ANSWER = re.compile(r"^b'SIP/2\.0 [2-6]", re.MULTILINE)
_GUESS = re.compile(r"^DEBUG:ASipOfRedWine:trying ", re.MULTILINE)
_ANSWERS_TO_COMPARE = 2


@dataclass(frozen=True)
class Enumeration:
    """What svwar made of a list of user names.

    `found`: name -> `reqauth`, `noauth` or `weird` (its words), for names whose answer differed
    from the one to a random name. `compared`: the names for which it did get both answers.
    """

    found: dict[str, str]
    compared: tuple[str, ...]
    log: str = field(repr=False)


@dataclass(frozen=True)
class Cracking:
    """What svcrack got: the password, or None; how many guesses it sent; if it came to an end."""

    password: str | None
    guesses: int
    finished: bool
    log: str = field(repr=False)


def svwar(
    registrar: Registrar,
    source: str,
    usernames: Iterable[str],
    *,
    realm: str,
    method: str = "REGISTER",
    timeout: float = 10.0,
    run_in: Sequence[str] = (),
) -> Enumeration:
    """Ask about each name; `timeout` in seconds for each of them.

    One run a name: svwar ends at the first name that is answered like its random one, if
    that answer is a 401, and so would never look at the rest of a list.
    """
    found: dict[str, str] = {}
    compared, logs = [], []
    for username in usernames:
        arguments = ["--force", "--debug", "-m", method, "-e", username, "--domain", realm]
        _, log = _run("svwar", registrar, source, arguments, timeout=timeout, run_in=run_in)
        found |= dict(found_in(log))
        if len(_ANSWER.findall(log)) >= _ANSWERS_TO_COMPARE:
            compared.append(username)
        logs.append(log)
    return Enumeration(found, tuple(compared), "\n".join(logs))


def svcrack(
    registrar: Registrar,
    source: str,
    username: str,
    passwords: Iterable[str],
    *,
    realm: str,
    timeout: float = 40.0,
    run_in: Sequence[str] = (),
) -> Cracking:
    """Try `passwords` one after the other, for at most `timeout` seconds.

    It finds nothing, whatever the password, where the challenge offers no qop.
    """
    with tempfile.TemporaryDirectory(prefix="svcrack-") as folder:
        dictionary = Path(folder) / "passwords.txt"
        dictionary.write_text("".join(f"{password}\n" for password in passwords))
        arguments = ["-v", "-v", "-u", username, "-d", str(dictionary), "--domain", realm]
        code, log = _run("svcrack", registrar, source, arguments, timeout=timeout, run_in=run_in)
    password = dict(found_in(log)).get(username)
    return Cracking(password, len(_GUESS.findall(log)), code is not None, log)


def found_in(output: str) -> list[tuple[str, str]]:
    """The rows of the table that a tool prints at its end, without the heading."""
    return [(name, value) for name, value in _ROW.findall(output) if name != "Extension"]


def _run(
    tool: str,
    registrar: Registrar,
    source: str,
    arguments: Sequence[str],
    *,
    timeout: float,
    run_in: Sequence[str],
) -> tuple[int | None, str]:
    silence = str(max(1, math.floor(timeout / 2)))
    command = [
        # -P: else this folder, with a sipvicious.py, would come before the real package.
        *run_in, sys.executable, "-P", str(_LAUNCHER), tool, source, USER_AGENT,
        "-P", str(free_port(source)), "-x", source, "--maximumtime", silence,
        *arguments, f"udp://{registrar.address}",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=f"{tool}-") as home:
        env = {"HOME": home, "PYTHONUNBUFFERED": "1"}
        return run_bounded(command, timeout=timeout, env=env, cwd=Path(home))
