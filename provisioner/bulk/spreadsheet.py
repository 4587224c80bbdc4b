"""CSV cells that a spreadsheet would run as a formula, made harmless so that it can be undone."""

import re

# What OWASP's page on CSV injection names. An apostrophe before it makes the cell text.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_HARMLESS = re.compile(r"'+[=+\-@\t\r]")


def harmless(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def original(cell: str) -> str:
    """Take away the apostrophe that `harmless` has put there."""
    return cell[1:] if _HARMLESS.match(cell) else cell
