"""CA certificates of `customTlsCertificateLinks`: from paths or URLs to one checked text in PEM."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from towline.errors import ConfigError, MachineError
from towline.files import in_workspace
from towline.http import download

_LARGEST_BUNDLE = 1024 * 1024
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_FORMAT = (
    "expected one or more certificates in PEM; convert one in DER by: openssl x509 -inform der"
    " -in FILE"
)
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def read_certificates(
    links: Sequence[str],
    *,
    folder: Path,
    where: str,
    environ: Mapping[str, str],
    guarded: bool = True,
) -> str:
    """Every certificate behind `links`, as PEM and in their order.

    `where` is the place of the list in the configuration. `environ` has tokens and proxies for the
    hosts of URLs. A path is relative to `folder`. If the folder is `guarded` (a workspace, whose
    files a pull request can change), no path may lie in it. Raises ConfigError that names the link.
    """
    return "".join(
        _certificates(link, _content(link, folder, where, environ, guarded=guarded), where)
        for link in links
    )


def plain_http_links(links: Iterable[str]) -> tuple[str, ...]:
    """The `links` that use plain http, where anybody on the way could exchange the certificate."""
    return tuple(download.display_url(link) for link in links if link.lower().startswith("http://"))


def ca_bundle(extra: str, environ: Mapping[str, str]) -> bytes:
    """The machine's CA certificates followed by `extra`, in PEM.

    For a program whose own list is replaced by a file. Raises MachineError if the machine has none.
    """
    paths = ssl.get_default_verify_paths()
    named = environ.get(paths.openssl_cafile_env, "")
    for path in (named, paths.cafile or "", paths.openssl_cafile, *_BUNDLES):
        if path and Path(path).is_file():
            return Path(path).read_bytes().rstrip(b"\n") + b"\n" + extra.encode()
    raise MachineError(
        "the machine's own CA certificates are not found",
        hint="install ca-certificates, or name their file in SSL_CERT_FILE",
    )


def outside_workspace(path: Path, name: str, *, folder: Path, where: str) -> Path:
    """`path` unchanged; raises ConfigError if it lies in the workspace `folder` or leads there.

    A pull request can change files in the workspace.
    """
    if "\0" in name or in_workspace(path, folder):
        raise ConfigError(
            f"{name!r} lies in the workspace, where a pull request can change it",
            where=where,
            hint="keep the file on the agent and give its whole path, or give a URL",
        )
    return path


def _content(
    link: str, folder: Path, where: str, environ: Mapping[str, str], *, guarded: bool
) -> bytes:
    if "://" in link:
        return download.fetch_bytes(link, environ, where=where)
    path = (
        outside_workspace(folder / link, link, folder=folder, where=where)
        if guarded
        else folder / link
    )
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_BUNDLE + 1)
    except (OSError, ValueError) as fault:
        what = (getattr(fault, "strerror", "") or type(fault).__name__).lower()
        raise ConfigError(
            f"{link!r} cannot be read: {what}",
            where=where,
            hint="correct the path, or the file's permissions",
        ) from fault


def _certificates(link: str, content: bytes, where: str) -> str:
    """The PEM certificates in `content` without the text between them.

    Raises ConfigError if there is none, or if one does not parse.
    """
    shown = download.display_url(link) if "://" in link else link
    if len(content) > _LARGEST_BUNDLE:
        raise ConfigError(
            f"{shown} is larger than {_LARGEST_BUNDLE} bytes", where=where, hint=_FORMAT
        )
    found = [
        f"{_BEGIN}{part.partition(_END)[0]}{_END}\n"
        for part in content.decode("ascii", "replace").split(_BEGIN)[1:]
    ]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="".join(found))
    except (ssl.SSLError, ValueError) as fault:
        raise ConfigError(
            f"{shown} holds no certificate that can be read", where=where, hint=_FORMAT
        ) from fault
    return "".join(found)
