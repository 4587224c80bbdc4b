"""The units in `deploy/systemd/` are what systemd understands, and may do little."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from provisioner.settings import load_settings

pytestmark = pytest.mark.native  # asks systemd's own tools

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
INSTALLED = "/opt/provisioner"  # where the units expect the project
NAMES = ["provisioner-api", "provisioner-worker", "provisioner-migrate", "provisioner-kamailio@"]
EXPOSURE_MAX = 15  # tenths of systemd's points from 0 (nothing) to 10 (everything)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A copy of the units in which the project is where it is."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text(encoding="utf-8").replace(INSTALLED, str(ROOT)))
    return folder


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze, which needs no systemd to run."""
    return subprocess.run(
        ["/usr/bin/systemd-analyze", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"},
    )


def install(root: Path) -> dict[str, Path]:
    """Install everything below a directory, and return the files with settings by their names."""
    subprocess.run(
        [UNITS / "install.sh", "192.0.2.10", "db.test:5433"],
        check=True,
        timeout=30,
        env={**os.environ, "DESTDIR": str(root)},
    )
    return {path.name: path for path in (root / "etc" / "provisioner").iterdir()}


def variables(*files: Path) -> dict[str, str]:
    """The variables of files of NAME=VALUE lines, as systemd reads them."""
    lines = "\n".join(path.read_text(encoding="utf-8") for path in files).splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def complaints(folder: Path) -> str:
    """What systemd says of the units, in words."""
    answer = analyze("verify", "--man=no", *sorted(folder.glob("*.service")))
    return answer.stderr or ("" if answer.returncode == 0 else f"status {answer.returncode}")


def exposed(unit: Path) -> bool:
    """Whether systemd counts more points than a service of ours may have."""
    answer = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    assert "Overall exposure level" in answer.stdout, answer.stderr
    return answer.returncode != 0


def test_systemd_understands_every_unit(units: Path) -> None:
    """Every program is there, every setting is known."""
    assert sorted(path.stem for path in units.glob("*.service")) == sorted(NAMES)
    assert complaints(units) == ""


def test_a_mistake_in_a_unit_is_told(units: Path) -> None:
    """The control: a setting that does not exist, and a program that is not there."""
    unit = units / "provisioner-api.service"
    unit.write_text(unit.read_text(encoding="utf-8").replace("Type=exec", "Tpe=exec"))
    assert "Tpe" in complaints(units)

    unit.write_text(unit.read_text(encoding="utf-8").replace("bin/provisioner", "bin/nothing"))
    assert "bin/nothing" in complaints(units)


@pytest.mark.parametrize("name", NAMES)
def test_a_service_may_do_little(units: Path, name: str) -> None:
    """It has next to nothing to offer to whoever takes it over; without the drop-in it would."""
    assert not exposed(units / f"{name}.service")

    shutil.rmtree(units / "provisioner-.service.d")
    assert exposed(units / f"{name}.service")


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_a_unit(name: str) -> None:
    """Everybody may read a unit: what is secret is in a file that only root can."""
    text = (UNITS / f"{name}.service").read_text(encoding="utf-8")
    assert re.search(r"^EnvironmentFile=/etc/provisioner/", text, re.MULTILINE)
    assert not re.search(r"^Environment=.*(URL|PASSWORD|TOKEN|SECRET|KEY)", text, re.MULTILINE)


def test_an_installation_is_complete(tmp_path: Path) -> None:
    """Every file that a unit reads is there, for root alone, with settings that can be used."""
    files = install(tmp_path)
    for unit in (tmp_path / "etc" / "systemd" / "system").glob("*.service"):
        read = re.findall(r"^EnvironmentFile=.*/(.*)$", unit.read_text(), re.MULTILINE)
        assert {name.replace("%i", "node1") for name in read} <= set(files)
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}

    service = variables(files["settings.env"], files["provisioner.env"])
    settings = load_settings(service | variables(files["migrate.env"]))
    assert settings.nodes == {"node1": "http://127.0.0.1:8090/rpc"}
    assert settings.sip_address == "192.0.2.10"
    assert len(settings.secrets_keys) == 1
    assert settings.database_url.endswith(
        f":{settings.provisioner_db_password}@db.test:5433/provisioner"
    )
    node = variables(files["kamailio.env"], files["kamailio-node1.env"])
    assert node["KAMAILIO_RPC_TOKEN"] == settings.rpc_token
    assert len(node["KAMAILIO_NONCE_SECRET"]) >= 32


def test_an_installation_that_is_repeated_changes_no_secret(tmp_path: Path) -> None:
    """Also not what was edited meanwhile."""
    files = install(tmp_path)
    files["settings.env"].write_text("SIP_REALM=other.test\n")
    before = {name: path.read_text() for name, path in files.items()}

    again = install(tmp_path)

    assert {name: path.read_text() for name, path in again.items()} == before
