from pathlib import Path

import pytest

from provisioner.stack.errors import StackError
from provisioner.stack.media import MediaPorts
from provisioner.stack.options import Options, read_options


@pytest.mark.parametrize(
    "environ", [{}, {"VAR_DIR": "", "HTTP_PORT": "", "SIP_ADDRESS": "", "MEDIA_PORTS": ""}]
)
def test_everything_has_a_default(environ: dict[str, str]) -> None:
    assert read_options(environ) == Options(
        Path("var"), 8080, 5060, 5061, 8443, "127.0.0.1", MediaPorts(30_000, 30_999), replica=False
    )


def test_a_replica_is_asked_for() -> None:
    assert read_options({"REPLICA": "yes"}).replica


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "-1"),
        ("SIP_PORT", "sip"),
        ("SIP_PORT", "٥٠٦٠"),
        ("SIP_TLS_PORT", "0"),
        ("SIP_WS_PORT", "wss"),
        ("SIP_ADDRESS", "localhost"),
        ("SIP_ADDRESS", "0.0.0.0"),
        ("SIP_ADDRESS", "224.0.0.1"),
        ("KAMAILIO_DIGEST_ALGORITHM", "sha256"),
        ("REPLICA", "1"),
        ("MEDIA_PROXY", "on"),
        ("MEDIA_PORTS", "30000"),
        ("MEDIA_PORTS", "30000-30002"),
        ("MEDIA_PORTS", "1000-2000"),
        ("MEDIA_PORTS", "30000-70000"),
        ("MEDIA_PORTS", "30000-30999-31999"),
        ("MEDIA_PORTS", "a-b"),
        ("NODES", "0"),
        ("NODES", "9"),
        ("NODES", "two"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(StackError, match=f"^{name} must be"):
        read_options({name: value})
