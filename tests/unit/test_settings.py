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
        ("KAMAILIO_REPLICAS", "postgresql://provisioner@10.0.0.5/provisioner"),
        ("SECRETS_KEY", "hush"),
        ("SECRETS_KEY", "AAAA"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("WEBHOOK_ALLOWED_NETWORKS", "inside"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid, match=name):
        load_settings({name: value})


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    key = "hush" * 10 + "hus="
    secrets = {
        "DATABASE_URL": "postgresql://u:hush@h/d",
        "KAMAILIO_REPLICAS": "node1=postgresql://u:hush@h/d",
        "KAMAILIO_RPC_TOKEN": "hush",
        "SECRETS_KEY": key,
    }
    assert load_settings(secrets).secrets_keys == (key,)
    assert load_settings(secrets).replicas == {"node1": "postgresql://u:hush@h/d"}
    assert "hush" not in repr(load_settings(secrets))


def test_a_key_that_is_not_one_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SettingInvalid) as caught:
        load_settings({"SECRETS_KEY": "hush"})
    assert "hush" not in caught.value.detail


def test_networks_are_read() -> None:
    settings = load_settings({"WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8"})
    assert [str(network) for network in settings.webhook_networks] == ["10.0.0.0/8", "fd00::/8"]
