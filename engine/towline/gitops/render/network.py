"""Moves a renderer process into an empty network namespace; only renderer processes load this.

Network access by charts and templates is refused case by case elsewhere; this module is for the
cases that were not thought of. Sockets that are files do not belong to the network.
"""

from __future__ import annotations

import os
import sys

if sys.version_info < (3, 12):
    import ctypes

_USER, _NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET: sched.h of Linux


def leave_network() -> bool:
    """Whether the system let this process leave: as root, or by a user namespace of its own.

    If it did not, nothing has changed.
    """
    for flags in (_NETWORK, _NETWORK | _USER):
        try:
            _unshare(flags)
        except (OSError, AttributeError):  # not allowed, or not Linux
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
