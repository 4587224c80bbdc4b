import os
import stat
import subprocess
from pathlib import Path

import pytest

from provisioner.stack.directory import StackDirectory
from provisioner.stack.errors import StackError


def test_one_stack_at_a_time_uses_a_directory(tmp_path: Path) -> None:
    first, second = StackDirectory(tmp_path / "var"), StackDirectory(tmp_path / "var")
    first.acquire()
    with pytest.raises(StackError, match="set VAR_DIR"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_it_is_taken_only_when_the_last_process_of_a_killed_stack_has_ended(tmp_path: Path) -> None:
    directory = StackDirectory(tmp_path / "var")
    lock = directory.acquire()
    os.ftruncate(lock, 0)  # as if by a supervisor that is gone
    command = ["sh", "-c", "read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[lock]) as survivor:
        os.close(lock)
        assert survivor.stdin is not None
        survivor.stdin.close()  # it ends now, a moment later
        successor = StackDirectory(tmp_path / "var")
        successor.acquire()
        assert survivor.poll() is not None or not Path(f"/proc/{survivor.pid}/fd/{lock}").exists()
        successor.release()


def test_a_directory_that_cannot_be_made_is_refused_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="set VAR_DIR"):
        StackDirectory(tmp_path / "file" / "var").acquire()


def test_others_may_pass_through_but_not_look(tmp_path: Path) -> None:
    directory = StackDirectory(tmp_path / "deep" / "var")
    directory.acquire()
    directory.release()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o711
    assert stat.S_IMODE(directory.logs.stat().st_mode) == 0o700
