"""The beginning of towline.pyz: runs the engine out of the archive, by any Python that is new."""

# ruff: noqa: INP001 - it is `__main__.py` of the archive

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python can read this file, and is told
    version = ".".join(map(str, sys.version_info[:2]))
    sys.stderr.write("towline: Python " + version + " is too old; run it by 3.11 or newer\n")
    sys.exit(9)

import os

# The renderers start with the same archive, from other folders. Not by pathlib, which is slow to
# load and could come from the workspace before the engine has looked.
sys.path[0] = os.path.abspath(sys.path[0])  # noqa: PTH100

from towline.__main__ import entry  # noqa: E402

sys.exit(entry())
