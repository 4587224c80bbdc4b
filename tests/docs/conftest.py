"""Says at the end of a run which shell blocks of the pages were not run, and why."""

import pytest

from tests.figures import tell

NOT_RUN = "not run"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what the tests of the pages have recorded."""
    tell(terminalreporter, NOT_RUN, "shell blocks that were not run")
