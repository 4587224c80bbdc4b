"""What runs the pages' blocks can fail, and says where."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs import shell
from tests.docs.pages import Page, PageError, Shown
from tests.docs.promises import broken
from tests.docs.shell import PageFailed
from tests.system import eventually


def page_of(folder: Path, text: str) -> Page:
    path = folder / "page.md"
    path.write_text(text.replace("'''", "```"), encoding="utf-8")
    return Page.read(path, "page.md")


def run(folder: Path, text: str) -> None:
    shell.run(page_of(folder, text).to_run, folder, environ={"PATH": os.environ["PATH"]})


@pytest.mark.parametrize(
    "commands",
    [
        "false",
        "false\ntrue",
        "false | true",
        "answer=$(false)",
        "x() { false; }\nx",
        "exit 3",
        "if",
    ],
)
def test_a_block_that_fails_is_named_with_what_it_printed(tmp_path: Path, commands: str) -> None:
    text = f"'''sh\necho fine\n'''\n\nThen:\n\n'''sh\necho seen\n{commands}\n'''\n"
    with pytest.raises(PageFailed, match=r"(?s)page\.md:7: exit status .*what it printed\nseen"):
        run(tmp_path, text)


def test_blocks_share_one_shell_in_their_order(tmp_path: Path) -> None:
    run(
        tmp_path,
        "'''sh\nx=1\nhello() { echo $x; }\n'''\n'''sh\nx=2\nhello\n'''\n'''text\n2\n'''\n",
    )


def test_a_block_that_ends_the_shell_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(PageFailed, match=r"page\.md:4: not reached"):
        run(tmp_path, "'''sh\nexit 0\n'''\n'''sh\ntrue\n'''\n")


def test_what_a_block_leaves_running_ends_with_the_page(tmp_path: Path) -> None:
    run(tmp_path, "'''sh\nsleep 600 &\necho $! > pid\n'''\n")
    stat = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    eventually(lambda: not lives(stat))


def lives(stat: Path) -> bool:
    """Say whether a process runs: one that has ended may wait for its parent to notice."""
    with suppress(OSError):
        return ") Z " not in stat.read_text()
    return False


def test_a_block_is_left_out_only_for_a_reason(tmp_path: Path) -> None:
    (block,) = page_of(tmp_path, "<!-- not run: needs Docker -->\n'''sh\nfalse\n'''\n").blocks
    assert block.not_run == "needs Docker"
    for remark in ("<!-- not run -->", "<!-- refused -->", "<!-- refused: soon -->"):
        with pytest.raises(PageError, match=r"page\.md:3"):
            page_of(tmp_path, f"{remark}\n\n'''sh\nfalse\n'''\n")


def test_a_shell_block_under_another_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"page\.md:1: a shell block is called sh, not bash"):
        page_of(tmp_path, "'''bash\ntrue\n'''\n")


def test_a_refused_block_fails_if_it_is_not_refused(tmp_path: Path) -> None:
    remark = "<!-- refused: 404 -->\n"
    run(tmp_path, remark + """'''sh\n(echo '{"status":404}'; exit 22)\n'''\n'''sh\ntrue\n'''\n""")
    for commands in ("true", "false", """(echo '{"status":403}'; exit 22)"""):
        with pytest.raises(PageFailed, match=r"page\.md:2"):
            run(tmp_path, f"{remark}'''sh\n{commands}\n'''\n")


def test_make_run_is_what_starts_the_system(tmp_path: Path) -> None:
    page = page_of(tmp_path, "'''sh\nmake run SYNC_INTERVAL=5\n'''\n'''sh\ntrue\n'''\n")
    assert page.settings == {"SYNC_INTERVAL": "5"}
    assert [block.text for block in page.to_run] == ["true\n"]


def test_output_is_promised_only_right_after_a_block(tmp_path: Path) -> None:
    page = page_of(tmp_path, "'''sh\ntrue\n'''\n\n'''text\na\n'''\nAnd:\n'''text\nb\n'''\n")
    assert page.blocks[0].shown == [Shown("text", "a\n")]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("two\nfour", "one\ntwo\nthree\nfour\n"),
        ("two … four", "  two three four\n"),
        ('{"a":1}', '{"a": 1}\n'),
        ("green", "\x1b[32mgreen\x1b[0m\n"),
    ],
)
def test_text_is_compared_line_by_line(shown: str, printed: str) -> None:
    assert broken(Shown("text", shown), printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"), [("two", "one\n"), ("two\none", "one\ntwo\n"), ("(.)", "(x)\n")]
)
def test_text_that_was_not_printed_is_missed(shown: str, printed: str) -> None:
    assert broken(Shown("text", shown), printed) is not None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"a": 1}', 'HTTP/1.1 200 OK\n\n{\n  "a": 2,\n  "b": 3}\n'),
        ('{"a": "…"}', '{"b": 1}\n{"a": null}\n'),
        ('{"a": "x…z"}', '{"a": "xyz"}'),
        ('{"a": ["x"]}', '{"a": ["w", "x"]}'),
        ('{"at": "2026-01-31T12:00:01.042Z"}', '{"at": "2026-11-01T00:00:00.000Z"}'),
    ],
)
def test_json_is_compared_by_its_keys(shown: str, printed: str) -> None:
    assert broken(Shown("json", shown), printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"a": 1}', '{"b": 1}'),
        ('{"a": {"b": "x"}}', '{"a": {"b": "y"}}'),
        ('{"a": true}', '{"a": 1}'),
        ('{"a": null}', '{"a": 0}'),
        ('{"a": [{"b": 1}]}', '{"a": []}'),
        ('{"a": []}', '{"a": [1]}'),
        ('{"a": 1}', "nothing"),
    ],
)
def test_json_that_was_not_printed_is_missed(shown: str, printed: str) -> None:
    assert broken(Shown("json", shown), printed) is not None
