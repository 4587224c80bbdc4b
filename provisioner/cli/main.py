"""The parser of the whole command line, and how a command ends."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import shtab
from pydantic import ValidationError

from provisioner.cli import (
    accounts,
    bans,
    billing,
    calls,
    files,
    kamailio,
    nodes,
    numbers,
    people,
    recovery,
    service,
    trunks,
)
from provisioner.cli.exits import Exit, exit_of
from provisioner.cli.output import Output
from provisioner.cli.parsing import Commands
from provisioner.cli.session import Session
from provisioner.errors import ProvisionerError
from provisioner.settings import load_settings

DESCRIPTION = "Creates SIP accounts and makes Kamailio obey them."
COMMANDS = (
    *(service, accounts, numbers, calls, people, files, billing, trunks, nodes, kamailio, bans),
    recovery,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code (`exits.Exit`)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)  # a command says itself what it does
    output = Output(as_json=options.json)
    try:
        return int(options.command(Session(load_settings(), options, output)))
    except (ProvisionerError, ValidationError) as error:
        output.error(error)
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # who read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="provisioner", description=DESCRIPTION)
    commands = Commands(parser)
    for module in COMMANDS:
        module.add_commands(commands)
    completion = commands.add(
        "completion", _complete, "Print a completion script for a shell.", json=False
    )
    completion.add_argument("shell", choices=["bash", "zsh"])
    return parser


def _complete(session: Session) -> Exit:
    session.output.say(shtab.complete(_parser(), session.options.shell))
    return Exit.DONE
