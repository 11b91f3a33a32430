"""At which address git meets its server: the one that was checked. git resolves a name by itself, each time anew, and its owner may bind it anew meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from towline.addresses import literal
from towline.errors import ConfigError
from towline.git.remote import Remote
from towline.proxies import Proxies
from towline.reach import PORTS, Lasting, Reach


class Server:
    """The server of `remote`, and the file of `settings` that every git reads."""

    def __init__(self, remote: Remote, environ: Mapping[str, str], *, settings: Path) -> None:
        self._remote = remote
        self._proxies = Proxies(environ)
        self._settings = settings
        self._known = False

    def check(self) -> str:
        """Empty once git 2.37 and newer is told the addresses that were checked; what git says of a name that is not known now.

        A proxy, and ssh, resolve the name again. Raises ConfigError for a host that nothing is
        asked of, and for a proxy that cannot be used.
        """
        if self._known:
            return ""
        try:
            text = self._pinned()
        except Lasting as fault:
            hint = "correct the URL: no git server has such an address"
            raise ConfigError(
                f"{self._remote.host} is not asked: {fault}", where=self._remote.url, hint=hint
            ) from fault
        except (OSError, UnicodeError) as fault:
            return (
                f"fatal: unable to access {self._remote.url}: Could not resolve host:"
                f" {self._remote.host} ({fault})"
            )
        with self._settings.open("a", encoding="utf-8") as file:
            file.write(text)
        self._known = True
        return ""

    def _pinned(self) -> str:
        where, reach = self._remote.origin, Reach()
        if self._remote.scheme != "ssh" and self._proxies.find(where):
            reach.check_before_proxy(where)
            return ""
        found, parts = reach.addresses(where), urlsplit(where)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
        if self._remote.scheme == "ssh" or literal(host) is not None:
            return ""
        places = ",".join(f"[{address}]" if ":" in address else address for address in found)
        return f"[http]\n    curloptResolve = {host}:{port}:{places}\n"
