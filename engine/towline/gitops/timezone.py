"""Pure. A time zone as a file of tzfile(5), for programs that are to see another local time."""

from __future__ import annotations

import struct


def zone(seconds: int) -> bytes:
    """A zone that is always `seconds` east of UTC."""
    return (
        b"TZif"
        + bytes(16)
        + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
        + struct.pack(">lBB", seconds, 0, 0)
        + b"FAR\0"
    )
