"""Pure.

Files of SOPS, whose MAC covers the plain values beside the encrypted ones too: after an edit of
these it no longer fits.
"""

from __future__ import annotations

from towline.gitops.plain_data import load, text_at


def breaks_mac(data: bytes) -> bool:
    """Whether an edit of a plain value makes a file's MAC a wrong one."""
    if b"sops" not in data or b"mac" not in data:
        return False
    for document in load(data) or ():
        if text_at(document, "sops", "mac"):
            return text_at(document, "sops", "mac_only_encrypted").lower() != "true"
    return False
