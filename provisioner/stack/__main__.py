"""`python -m provisioner.stack`: the whole system until Ctrl-C."""

import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from provisioner.stack.errors import StackError
from provisioner.stack.options import Options, read_options
from provisioner.stack.stack import Stack
from provisioner.stack.supervisor import supervise

INVITATION = """
The line is up. Ctrl-C stops all of it; the data stay in {directory}.

  Console        {url}/console/
  First login    {login}  (email address and password; change it after you have logged in)
  API            {url}/api/v1
  Admin's token  {token}
  Logs           {logs}

Create the first number and its SIP account:

  curl {url}/api/v1/numbers -H "Authorization: Bearer $(cat {token})" \\
    --json '{{"number": "+390612345678", "state": "active"}}'
  curl {url}/api/v1/sip-accounts -H "Authorization: Bearer $(cat {token})" \\
    --json '{{"name": "Reception", "main_number": "+390612345678", "voice_channels": 2}}'
"""


def main() -> int:
    """Run the stack; return the exit status."""
    _interrupt_once()
    try:
        _run(read_options(os.environ))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        say("Stopped")
    return 0


def _run(options: Options) -> None:
    stack = Stack(
        options.directory,
        sip_address=options.sip_address,
        http_port=options.http_port,
        sip_port=options.sip_port,
        tls_port=options.tls_port,
        ws_port=options.ws_port,
        media_ports=options.media_ports,
        replica=options.replica,
        nodes=options.nodes,
        environ=os.environ,
        report=say,
    )
    say(f"Starting in {stack.directory.path}")
    with stack:
        say(_invitation(stack))
        try:
            supervise(stack.processes, say)
        finally:
            say("Stopping")


def _invitation(stack: Stack) -> str:
    return INVITATION.format(
        url=stack.api_url,
        directory=_short(stack.directory.path),
        token=_short(stack.admin_token_file),
        login=_short(stack.directory.admin_login),
        logs=_short(stack.directory.logs),
    )


def _short(path: Path) -> str:
    """Return a path as a shell in our working directory takes it."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def say(line: str) -> None:
    """Write a line to the terminal, or nowhere if it has gone: that must not stop the rest."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt_once() -> None:
    """Make the first signal an interruption; later ones must not disturb an orderly stop."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, interrupt)


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
