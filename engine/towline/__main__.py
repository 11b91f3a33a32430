"""The entry point of the console script and of `python -m towline`.

It imports nothing that is slow to load, and nothing that the workspace may hold, before `cli`.
"""

import os
import signal
import sys

# While the engine loads, an interruption ends the process as it ends any program, without a trace;
# then the door answers signals.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# `-m` puts the working directory first, which is the workspace, and PYTHONPATH may lead there: a
# `yaml.py` of a pull request must not be imported.
try:
    here = os.getcwd()  # noqa: PTH109 - pathlib is not to be imported from there either
except OSError:
    here = ""  # it is gone, which the door tells
homes = [
    os.path.realpath(home) + os.sep for home in (here, os.environ.get("WORKSPACE", "")) if home
]
named = [
    place
    for place in os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    if any(f"{os.path.realpath(place)}/".startswith(home) for home in homes)
]
sys.path[:] = [
    place for place in sys.path if place not in ("", here, *named, *map(os.path.abspath, named))
]

from towline.cli import entry  # noqa: E402

if __name__ == "__main__":
    sys.exit(entry())
