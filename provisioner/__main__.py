"""`python -m provisioner`: the same as the command `provisioner`."""

import sys

from provisioner.cli import main

sys.exit(main())
