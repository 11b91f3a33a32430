"""Pure. Files of SOPS, whose MAC covers the plain values beside the encrypted ones too: after an edit of these it no longer fits."""

from __future__ import annotations

from collections.abc import Mapping

from towline.gitops.plain_data import load


def breaks_mac(data: bytes) -> bool:
    """Whether an edit of a plain value makes a file's MAC a wrong one."""
    if b"sops" not in data or b"mac" not in data:
        return False
    for document in load(data) or ():
        sops = document.get("sops") if isinstance(document, dict) else None
        if isinstance(sops, Mapping) and sops.get("mac"):
            return str(sops.get("mac_only_encrypted", "")).lower() != "true"
    return False
