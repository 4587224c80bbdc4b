import json
import stat
from pathlib import Path

from provisioner.stack.passwords import load_passwords


def test_passwords_are_made_once_and_differ(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    first = load_passwords(path)
    assert load_passwords(path) == first
    assert first.provisioner_db != first.kamailio_db


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    load_passwords(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_draft_that_was_never_finished_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    path.with_suffix(".new").write_text("{")
    assert load_passwords(path) == load_passwords(path)


def test_they_do_not_show_when_printed(tmp_path: Path) -> None:
    passwords = load_passwords(tmp_path / "passwords.json")
    assert passwords.rpc_token not in repr(passwords)


def test_a_directory_of_an_earlier_version_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    first = load_passwords(path)
    stored = json.loads(path.read_text())
    del stored["secrets_key"]
    path.write_text(json.dumps(stored))
    second = load_passwords(path)
    assert second.postgres == first.postgres
    assert second.secrets_key != first.secrets_key
    assert load_passwords(path) == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
