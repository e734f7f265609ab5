"""`python -m ravecodec`, the same as the `ravecodec` command."""

import sys

from ravecodec.cli import main

sys.exit(main())
