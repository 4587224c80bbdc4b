"""The command line: `provisioner COMMAND`. It calls the same operations as the HTTP API."""

from provisioner.cli.main import main

__all__ = ["main"]
