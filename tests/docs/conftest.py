"""Says at the end of a run which shell blocks of the pages were not run, and why."""

import pytest

NOT_RUN = "not run"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what the tests of the pages have recorded."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport) and report.when == "call"
    ]
    lines = [
        value for report in reports for name, value in report.user_properties if name == NOT_RUN
    ]
    if lines:
        terminalreporter.section("shell blocks that were not run", sep="-")
    for line in lines:
        terminalreporter.write_line(str(line))
