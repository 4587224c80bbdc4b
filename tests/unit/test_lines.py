"""One event, one line."""

import logging
import sys

import pytest

from provisioner.lines import FORMAT, OneLine, one_line


def written(message: str, *given: object, **more: object) -> str:
    record = logging.LogRecord("test", logging.ERROR, "", 1, message, given, None)
    record.__dict__ |= more
    return OneLine(FORMAT).format(record)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\u2028b", "a\x85b", "a\x00b", "a\ud800b", "a\x0bb"]
)
def test_whatever_is_told_stays_one_line(text: str) -> None:
    line = written("%s: told", text)
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_what_can_be_read_stays_as_it_is() -> None:
    assert one_line("Caffè 東京 'a' \\n") == "Caffè 東京 'a' \\n"


def test_a_traceback_is_part_of_the_line() -> None:
    try:
        int("two\nlines")
    except ValueError:
        line = written("broken", exc_info=sys.exc_info(), exc_text=None)
    assert "Traceback" in line
    assert "two\\nlines" in line
    assert len(line.splitlines()) == 1


def test_a_refused_row_of_the_database_is_not_told() -> None:
    line = one_line('new row breaks "x"\nDETAIL:  Failing row contains (1, 5f4dcc3b).\nHINT: no')
    assert "5f4dcc3b" not in line
    assert "HINT: no" in line
