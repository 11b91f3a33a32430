"""Runs a command and writes its times and memory to a file as JSON: `launch.py REPORT COMMAND...`.

This is a small process of its own on purpose: Linux counts the memory of the process that starts a
program as the program's memory.
"""

import json
import os
import sys
import time

began = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - began
# Not by pathlib, which would be most of this process.
with open(sys.argv[1], "w", encoding="ascii") as report:  # noqa: PTH123
    json.dump(
        {
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "rss": usage.ru_maxrss / 1024,
            "code": os.waitstatus_to_exitcode(status),
        },
        report,
    )
