"""What tests have measured or left out, told again at the end of a run."""

from collections.abc import Callable

import pytest

# figures("guesses a minute", 9.8) is printed, and listed at the end of the run.
Figures = Callable[[str, object], None]
FIGURE = "figure"


def recorder(record_property: Callable[[str, object], None]) -> Figures:
    """Return the function that a test calls with each figure: its name, and value with unit."""

    def record(name: str, value: object) -> None:
        line = f"figure: {name} = {value}"
        print(f"\n{line}", flush=True)  # noqa: T201 - what a test prints is shown where it fails
        record_property(FIGURE, line)

    return record


def tell(reporter: pytest.TerminalReporter, name: str, title: str) -> None:
    """Write a section with the properties called `name` that passed and failed tests recorded."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in reporter.getreports(outcome)
        if isinstance(report, pytest.TestReport) and report.when == "call"
    ]
    lines = [value for report in reports for key, value in report.user_properties if key == name]
    if lines:
        reporter.section(title, sep="-")
    for line in lines:
        reporter.write_line(str(line))
