"""A new user who pastes the pages' shell blocks into a terminal succeeds."""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.docs import shell
from tests.docs.conftest import NOT_RUN
from tests.docs.pages import Page, pages

pytestmark = [pytest.mark.native, pytest.mark.timeout(300)]

# What only one thing of a system can have.
UNIQUE = re.compile(r'"(?:number|main_number)": "(\+\d+)"|"name": ("[^"]+")')

ROOT = Path(__file__).parents[2]
PORTS = ("HTTP_PORT", "SIP_PORT")  # those of the pages may be in use


def checkout(directory: Path) -> Path:
    """Make a directory that looks like the repository, with a `var/` of its own."""
    for entry in ROOT.iterdir():
        if entry.name not in {"var", ".git"}:
            (directory / entry.name).symlink_to(entry)
    return directory


def environ(stack: Stack, home: Path) -> dict[str, str]:
    """Return the variables of the reader's shell: nothing of the tests'."""
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HTTP_PORT": str(stack.http_port),
        "SIP_PORT": str(stack.sip_port),
    }


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: page.name)
def test_every_shell_block_of_a_page_does_what_the_page_says(
    page: Page, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for block in page.blocks:
        if block.not_run:
            record_property(NOT_RUN, f"{block} ({block.not_run}): {block.text.strip()}")
    if not page.to_run:
        return
    settings = {name: value for name, value in page.settings.items() if name not in PORTS}
    directory = checkout(tmp_path)
    with Stack(directory / "var", environ=settings) as stack:
        addresses = {
            "127.0.0.1:8080": f"127.0.0.1:{stack.http_port}",
            "127.0.0.1:5060": f"127.0.0.1:{stack.sip_port}",
        }
        shell.run(page.to_run, directory, environ=environ(stack, tmp_path), replace=addresses)


def test_the_pages_can_be_followed_one_after_another_in_one_system() -> None:
    """No page uses a number or name that another has taken."""
    used = [
        {number or name for block in page.to_run for number, name in UNIQUE.findall(block.text)}
        for page in pages(ROOT)
    ]
    counted = Counter(one for page in used for one in page)
    assert [one for one, times in counted.items() if times > 1] == []


def test_no_softphone_of_a_page_takes_its_readers_terminal() -> None:
    """Baresip's module stdio does: the shell stops who asks for the terminal in the background."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    assert any("baresip -f" in page.read_text("utf-8") for page in found)
    assert [page.name for page in found if "stdio.so" in page.read_text("utf-8")] == []
