"""The door's threshold, for the console script and `python -m towline`: nothing that is slow to load or that the workspace may hold comes before it."""

import os
import signal
import sys

# While the engine loads, an interruption ends the process as it ends any program, without a trace; then the door answers signals.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# `-m` puts the working directory first, which is the workspace: a `yaml.py` of a pull request must not be imported.
try:
    workspace = os.getcwd()  # noqa: PTH109 - pathlib is not to be imported from there either
except OSError:
    workspace = ""  # it is gone, which the door tells
sys.path[:] = [place for place in sys.path if place not in ("", workspace)]

from towline.cli import entry  # noqa: E402

if __name__ == "__main__":
    sys.exit(entry())
