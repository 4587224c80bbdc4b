import pytest

from provisioner.errors import SettingInvalid
from provisioner.settings import load_settings


def test_everything_has_a_default() -> None:
    settings = load_settings({})
    assert (settings.http_port, settings.sip_port) == (8080, 5060)
    assert settings.nodes == {}


def test_nodes_are_read_as_pairs() -> None:
    settings = load_settings(
        {"KAMAILIO_NODES": "a=http://127.0.0.1:1/rpc, b=http://127.0.0.1:2/rpc"}
    )
    assert settings.nodes == {"a": "http://127.0.0.1:1/rpc", "b": "http://127.0.0.1:2/rpc"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("SIP_PORT", "sip"),
        ("SIP_REALM", ""),
        ("SIP_REALM", 'a"b'),
        ("SIP_REALM", "x" * 65),
        ("SYNC_INTERVAL", "0"),
        ("SYNC_INTERVAL", "soon"),
        ("KAMAILIO_NODES", "127.0.0.1:8090"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid, match=name):
        load_settings({name: value})


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    secrets = {"DATABASE_URL": "postgresql://u:hush@h/d", "KAMAILIO_RPC_TOKEN": "hush"}
    assert "hush" not in repr(load_settings(secrets))
