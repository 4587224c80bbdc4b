from pathlib import Path

import pytest

from provisioner.stack.errors import StackError
from provisioner.stack.options import Options, read_options


@pytest.mark.parametrize("environ", [{}, {"VAR_DIR": "", "HTTP_PORT": "", "SIP_ADDRESS": ""}])
def test_everything_has_a_default(environ: dict[str, str]) -> None:
    assert read_options(environ) == Options(Path("var"), 8080, 5060, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "-1"),
        ("SIP_PORT", "sip"),
        ("SIP_PORT", "٥٠٦٠"),
        ("SIP_ADDRESS", "localhost"),
        ("SIP_ADDRESS", "0.0.0.0"),
        ("SIP_ADDRESS", "224.0.0.1"),
        ("KAMAILIO_DIGEST_ALGORITHM", "sha256"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(StackError, match=f"^{name} must be"):
        read_options({name: value})
