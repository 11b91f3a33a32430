"""TLS by host: whom to trust, what to show of ourselves, and where verification is off because the platform team spelled it out."""

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
    """What a host asks of us: files in PEM with the certificate (and those above it) and its key, which may be the same; `where` names the setting."""

    certificate: Path
    key: Path
    where: str


class Tls:
    """`authorities` (PEM) are trusted beside the machine's own; the other settings are by `host[:port]`.

    Shared by threads.
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
        # Python 3.13 sets it: authorities of companies that git and curl take would be refused
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
    """`host[:port]` in the one spelling that settings are compared in: lower case, without the port that https has anyway."""
    return host.lower().removesuffix(":443")


def speaks_tls(place: tuple[str, int], *, name: str, seconds: float) -> bool:
    """Whether what answers at `place` (address and port) for the host `name` begins with TLS; nothing is believed of it, and nothing is sent there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(place, seconds) as raw,
            lost_sockets_closed(),
            context.wrap_socket(raw, server_hostname=name),
        ):
            return True
    except ssl.SSLError as fault:  # an alert is TLS too: a client certificate may be asked for
        return "ALERT" in (fault.reason or "")
    except (OSError, ValueError):
        return False


@contextmanager
def lost_sockets_closed() -> Iterator[None]:
    """Close the sockets that SSLContext.wrap_socket took and did not give back: it closes them itself only if its last step fails."""
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
        what = (
            "lacks its key, or is not in PEM"
            if isinstance(fault, ssl.SSLError)
            else (getattr(fault, "strerror", "") or "cannot be read").lower()
        )
        raise ConfigError(
            f"the client certificate {client.certificate} with its key {client.key}: {what}",
            where=client.where,
            hint=(
                "give files in PEM, certificate and key of one another, the key without a password"
            ),
        ) from fault
    context.post_handshake_auth = True  # a server may ask for it only after the request (TLS 1.3)


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    return ""
