"""`python -m towline`: the same door as the console script."""

import sys

from towline.cli import entry

sys.exit(entry())
