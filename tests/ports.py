"""Ports for the servers that tests start."""

from collections.abc import Sequence

from provisioner.stack.ports import Endpoint, free_port

_given: set[int] = set()


def new_port(endpoints: Sequence[Endpoint]) -> int:
    """A port that is free on every endpoint, and was never given before: who was given it may have
    yet to listen there.
    """
    port = free_port(endpoints, but=_given)
    _given.add(port)
    return port
