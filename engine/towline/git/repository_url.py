"""Pure.

The URL of a source repository as text: which repository it names, and how it is shown without
credentials.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(.+)")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_SCP_USER_INFO = re.compile(r"(?:[^@/]*@)+(?=[^@/:]+:)")


def host_and_path(url: str) -> str:
    """`host/path` of a repository, the same for https, ssh and `user@host:path`, in lower case.

    Empty if the URL names no repository on a host.
    """
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


def public_url(url: str) -> str:
    """The URL (also in scp's form) without user and password, and without query and fragment.

    Query and fragment may hold a token.
    """
    scp_user = _SCP_USER_INFO.match(url) if "://" not in url else None
    bare = url[scp_user.end() :] if scp_user else _USER_INFO.sub("", url)
    return bare.partition("?")[0].partition("#")[0]
