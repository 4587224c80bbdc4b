import pytest
from cryptography.fernet import Fernet

from provisioner.cli import main
from provisioner.errors import SettingInvalid
from provisioner.sealing import SealBroken, Sealer

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_is_sealed_is_opened_again_and_does_not_show() -> None:
    sealed = Sealer([OLD]).seal("whsec_hush")
    assert "hush" not in sealed
    assert Sealer([OLD]).open(sealed) == "whsec_hush"


def test_a_new_key_in_front_opens_what_the_former_one_sealed() -> None:
    sealed = Sealer([OLD]).seal("whsec_hush")
    assert Sealer([NEW, OLD]).open(sealed) == "whsec_hush"
    with pytest.raises(SealBroken):
        Sealer([OLD]).open(Sealer([NEW, OLD]).seal("whsec_hush"))


def test_without_a_key_one_sentence_says_how_to_make_one() -> None:
    with pytest.raises(SettingInvalid, match="SECRETS_KEY must hold a Fernet key"):
        Sealer([])


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_command_that_needs_one_does_not_start_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.delenv("SECRETS_KEY", raising=False)
    assert main([command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("provisioner: SECRETS_KEY must hold a Fernet key")
