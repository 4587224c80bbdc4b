"""What is installed is what was chosen: pinned, with its hash, and listed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-traces.lock", "requirements-dev.lock"]
SOFTPHONE = "tests/softphone/package-lock.json"
INSTALLERS = ["provisioner/stack/install.sh", "provisioner/Dockerfile", "tests/Dockerfile"]

Packages = dict[tuple[str, str], set[str]]  # (name, version) -> SHA-256


def entries(lock: str) -> list[str]:
    """The lock's entries, each in one line."""
    return (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def loose(entries: list[str]) -> list[str]:
    """Those entries that another file would satisfy, too."""
    good = re.compile(r"[\w.-]+==[^\s;]+( ; [^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")
    return [entry for entry in entries if not good.fullmatch(entry)]


def packages(entries: list[str]) -> Packages:
    """What the entries name, with the hashes of its files."""
    found = (re.match(r"([\w.-]+)==([^\s;]+)", entry) for entry in entries)
    names = [(match[1], match[2]) for match in found if match]
    hashes = [set(re.findall(r"sha256:([0-9a-f]{64})", entry)) for entry in entries]
    return dict(zip(names, hashes, strict=True))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_hashes(lock: str) -> None:
    assert len(entries(lock)) > 40
    assert loose(entries(lock)) == []


@pytest.mark.parametrize(
    "entry",
    [
        "flask",
        "flask==3.1.3",
        f"flask>=3.1 --hash=sha256:{'0' * 64}",
        f"flask==3.1.3 --hash=md5:{'0' * 32}",
        f"flask @ https://files.test/flask.whl --hash=sha256:{'0' * 64}",
        "--extra-index-url https://files.test/",
    ],
)
def test_what_is_not_pinned_is_found(entry: str) -> None:
    assert loose([entry]) == [entry]


def unproved(lock: dict[str, Any]) -> list[str]:
    """Those packages of npm's lock that have no SHA-512, or come from a certain address."""
    good = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")
    return [
        name
        for name, package in lock["packages"].items()
        if name and (not good.fullmatch(package.get("integrity", "")) or "resolved" in package)
    ]


def test_every_package_of_the_softphone_has_its_hash() -> None:
    lock = json.loads((ROOT / SOFTPHONE).read_text(encoding="utf-8"))
    assert len(lock["packages"]) > 1
    assert unproved(lock) == []
    # The control: one hash less, one that is weak, one address more.
    first, second, third = list(lock["packages"])[1:4]
    del lock["packages"][first]["integrity"]
    lock["packages"][second]["integrity"] = "sha1-" + "A" * 27 + "="
    lock["packages"][third]["resolved"] = "https://files.test/package.tgz"
    assert unproved(lock) == [first, second, third]


@pytest.mark.parametrize("path", INSTALLERS)
def test_pip_installs_nothing_without_hashes_but_the_service_itself(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    commands = re.findall(r"(?:pip|\{pip\[@\]\}\") install (.*)", text)
    assert any("--require-hashes" in command for command in commands)
    own = "--no-deps --no-build-isolation "
    assert [c for c in commands if not c.startswith(("--require-hashes", own))] == []


def test_the_sbom_lists_what_is_locked(tmp_path: Path) -> None:
    written = tmp_path / "sbom.json"
    # fmt: off
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--no-validate",
         "--output-file", written, ROOT / "requirements.lock"],
        check=True,
    )
    # fmt: on
    listed = {
        (component["name"], component["version"]): {
            digest["content"]
            for reference in component["externalReferences"]
            for digest in reference["hashes"]
        }
        for component in json.loads(written.read_text(encoding="utf-8"))["components"]
    }
    assert listed == packages(entries("requirements.lock"))
