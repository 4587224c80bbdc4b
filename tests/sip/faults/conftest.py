"""What faults are made with."""

from collections.abc import Iterator

import pytest

from provisioner.stack.stack import Stack
from tests.sip.faults.workshop import Workshop


@pytest.fixture
def workshop(stack: Stack) -> Iterator[Workshop]:
    """Relayed workers instead of the stack's own."""
    with Workshop(stack).open() as workshop:
        yield workshop
