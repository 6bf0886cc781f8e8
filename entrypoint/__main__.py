"""`python -m entrypoint` is the same as the command `entrypoint`."""

import sys

from entrypoint.cli import main

sys.exit(main())
