"""One event, one line."""

import json
import logging
import sys
from typing import Any

import pytest

from provisioner import origin
from provisioner.lines import FORMAT, JsonLine, OneLine, about, one_line


def event(message: str, *given: object, **more: object) -> logging.LogRecord:
    record = logging.LogRecord("test", logging.ERROR, "", 1, message, given, None)
    record.__dict__ |= more
    return record


def written(message: str, *given: object, **more: object) -> str:
    return OneLine(FORMAT).format(event(message, *given, **more))


def as_json(message: str, *given: object, **more: object) -> Any:
    line = JsonLine().format(event(message, *given, **more))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    return json.loads(line)


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


def test_json_says_the_same_in_members() -> None:
    line = as_json("%s: told", "a\u2028b\ud800")
    assert line.pop("time").endswith("Z")
    assert line == {"level": "ERROR", "logger": "test", "message": "a\u2028b\ud800: told"}


def refuse(text: str) -> None:
    raise ValueError(text)


def test_json_has_a_traceback_but_no_row_of_the_database() -> None:
    secret = "5f4d" + "cc3b"  # apart, since a traceback shows this line
    try:
        refuse(f"two\nDETAIL:  Failing row contains (1, {secret}).\nlines")
    except ValueError as error:
        line = as_json("broken: %s", error, exc_info=sys.exc_info())
    assert secret not in line["message"] + line["exception"]
    assert "Traceback" in line["exception"]


def test_what_an_event_is_about_is_told_in_both_forms() -> None:
    told = about(node="node1", account_id=None, ms=1.5)
    assert written("obeyed", **told).endswith(": obeyed node=node1 ms=1.5")
    assert as_json("obeyed", **told).items() >= {"node": "node1", "ms": 1.5}.items()
    assert "account_id" not in as_json("obeyed", **told)


def test_what_is_done_for_a_request_tells_its_id() -> None:
    with origin.of_request("portal-4711"):
        assert written("obeyed").endswith(": obeyed request_id=portal-4711")
        assert as_json("obeyed")["request_id"] == "portal-4711"
        assert as_json("obeyed", **about(request_id="other"))["request_id"] == "other"
    assert "request_id" not in as_json("obeyed")
