"""`python -m towline`: the same door as the console script."""

import os
import sys

# `-m` puts the working directory first, which is the workspace: a `yaml.py` of a pull request must not be imported.
sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]  # noqa: PTH109 - pathlib is not to be imported from there either

from towline.cli import entry  # noqa: E402

sys.exit(entry())
