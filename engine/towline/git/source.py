"""Pure.

What the URL of a source repository says: which one it is, and how it is shown without what opens
it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(.+)")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_SCP_USER_INFO = re.compile(r"(?:[^@/]*@)+(?=[^@/:]+:)")


def identity(url: str) -> str:
    """Host and path of a repository, the same for https, ssh and `user@host:path`; empty where it is none on a host."""
    url = url.strip()
    scp = None if "://" in url else _SCP.fullmatch(url)
    if scp:
        host, path = scp[1], scp[2]
    else:
        try:
            parts = urlsplit(url)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return ""
    path = unquote(path).strip("/").removesuffix(".git").lower()
    return f"{host.lower()}/{path}" if host and path else ""


def shown(url: str) -> str:
    """The URL without user and password, also as scp has them, and without a query and a fragment, which may hold a token."""
    short = _SCP_USER_INFO.match(url) if "://" not in url else None
    return (
        (url[short.end() :] if short else _USER_INFO.sub("", url))
        .partition("?")[0]
        .partition("#")[0]
    )
