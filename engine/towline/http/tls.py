"""TLS contexts by host: trusted authorities, client certificates, and hosts without verification.

Verification is off only for hosts that the platform team names.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from towline.errors import ConfigError
from towline.record import frozen


@frozen
class ClientCertificate:
    """PEM files of a client certificate (with its chain) and its key; they may be the same file.

    `where` names the setting.
    """

    certificate: Path
    key: Path
    where: str


class Tls:
    """TLS settings; `authorities` (PEM) are trusted in addition to the machine's own.

    The other settings are by `host[:port]`. Shared by threads.
    """

    def __init__(
        self,
        authorities: str = "",
        *,
        clients: Mapping[str, ClientCertificate] | None = None,
        insecure: Collection[str] = (),
    ) -> None:
        self._authorities = authorities
        self._clients = {
            host_key(host): certificate for host, certificate in (clients or {}).items()
        }
        self._insecure = {host_key(host) for host in insecure}
        self._lock = threading.Lock()
        self._made: dict[str, ssl.SSLContext] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """The context for `host[:port]`; hosts without settings of their own share one.

        Raises ConfigError for a client certificate that cannot be used.
        """
        key = host_key(host)
        own = key if key in self._clients or key in self._insecure else ""
        with self._lock:
            if own not in self._made:
                self._made[own] = self._make(own)
            return self._made[own]

    def _make(self, host: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        # Python 3.13 sets this flag, which refuses company authorities that git and curl accept
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self._authorities:
            context.load_verify_locations(cadata=self._authorities)
        if host in self._insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if host in self._clients:
            _show(context, self._clients[host])
        return context


def host_key(host: str) -> str:
    """`host[:port]` as settings are compared: lower case, without the port 443 of https."""
    return host.lower().removesuffix(":443")


def speaks_tls(place: tuple[str, int], *, name: str, seconds: float) -> bool:
    """Whether the server at `place` (address and port) for the host `name` answers in TLS.

    Nothing is sent to it, and its certificate is not checked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(place, seconds) as raw,
            lost_sockets_closed(),
            context.wrap_socket(raw, server_hostname=name),
        ):
            return True
    except (
        ssl.SSLError
    ) as fault:  # an alert is TLS too: the server may require a client certificate
        return "ALERT" in (fault.reason or "")
    except (OSError, ValueError):
        return False


@contextmanager
def lost_sockets_closed() -> Iterator[None]:
    """Close sockets that SSLContext.wrap_socket took over and did not return.

    It closes them itself only if its last step fails.
    """
    try:
        yield
    except BaseException as fault:
        trace = fault.__traceback__
        while trace:
            if isinstance(lost := trace.tb_frame.f_locals.get("self"), ssl.SSLSocket):
                lost.close()
            trace = trace.tb_next
        raise


def _show(context: ssl.SSLContext, client: ClientCertificate) -> None:
    try:
        context.load_cert_chain(client.certificate, client.key, password=_no_password)
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        problem = (
            "lacks its key, or is not in PEM"
            if isinstance(fault, ssl.SSLError)
            else (getattr(fault, "strerror", "") or "cannot be read").lower()
        )
        raise ConfigError(
            f"the client certificate {client.certificate} with its key {client.key}: {problem}",
            where=client.where,
            hint=("give files in PEM: a certificate and its own key, the key without a password"),
        ) from fault
    context.post_handshake_auth = True  # a server may ask for it only after the request (TLS 1.3)


def _no_password() -> str:
    """An empty password: without one, OpenSSL would ask at the terminal."""
    return ""
