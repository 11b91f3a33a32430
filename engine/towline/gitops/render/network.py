"""A renderer process leaves the machine's network for one of its own, in which nothing is; only such processes load this.

What a chart or a template asks is refused one by one elsewhere; this is for what nobody has thought
of. Files that are sockets are no network.
"""

from __future__ import annotations

import os
import sys

if sys.version_info < (3, 12):
    import ctypes

_USER, _NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET: sched.h of Linux


def leave_network() -> bool:
    """Whether the system let this process leave: as root, or by a user namespace of its own.

    Where it does not, nothing has changed.
    """
    for flags in (_NETWORK, _NETWORK | _USER):
        try:
            _unshare(flags)
        except (OSError, AttributeError):  # not allowed, or another system than Linux
            continue
        return True
    return False


def _unshare(flags: int) -> None:
    if sys.version_info >= (3, 12):
        os.unshare(flags)
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
