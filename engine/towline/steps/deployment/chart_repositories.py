"""The charts that a chart depends on, fetched before it is rendered.

They come only from the repositories and registries that the platform team names.
"""

from __future__ import annotations

import hashlib
import re
from threading import Event
from urllib.parse import urlsplit

from towline import host_patterns
from towline.errors import (
    ConfigError,
    DigestMismatch,
    RegistryUnreachable,
    RenderError,
    TransportError,
    placed,
)
from towline.gitops.helm.chart_files import Dependency
from towline.gitops.helm.packed_chart import exact_version, unpack_chart
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.download import display_url, get_bytes
from towline.http.messages import HttpRequest, origin
from towline.http.redirects import absolute_url, may_follow
from towline.image import Registry, Repository, is_loopback, parse_registry
from towline.registry.auth.policy import basic_authorization, check_sending
from towline.registry.client import RegistryClient
from towline.registry.copy.stream import BlobStream
from towline.registry.errors import Endpoint
from towline.registry.manifest import Descriptor
from towline.steps.registry_access import network, registry_login
from towline.steps.task import Task
from towline.yaml.plain_data import first_mapping, maps_at, text_at

MAX_INDEX = 8 * 1024 * 1024  # bytes that are read as YAML
_MAX_CHART = 64 * 1024 * 1024  # bytes
_DOWNLOAD_SECONDS = 300
_CHART_MEDIA_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_PARAMETER = "chartRepositories"


class ChartRepositories:
    """Downloads charts, each once: if the branch has moved, its chart is rendered again."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._network: Network | None = None
        self._fetched: dict[tuple[str, str, str], bytes] = {}

    def fetch(self, dependency: Dependency, *, where: str) -> bytes:
        """The packed chart that a Chart.yaml, at `where`, depends on.

        Raises ConfigError (the host is not allowed, the version does not exist), RenderError, and
        what a registry raises.
        """
        self._check_host(dependency, where)
        version = exact_version(dependency.name, dependency.version, dependency.locked, where=where)
        key = (dependency.repository, dependency.name, version)
        if key not in self._fetched:
            self._task.console.say(
                f"  chart {dependency.name} {version} from {display_url(dependency.repository)}"
            )
            self._network = self._network or network(self._task)
            with (
                Transport(
                    read=20,
                    limit=_DOWNLOAD_SECONDS,
                    network=self._network,
                    hide=self._task.console.hide,
                ) as transport,
                placed(where),
            ):
                data = (
                    self._from_registry(transport, *key)
                    if dependency.repository.startswith("oci://")
                    else self._from_index(transport, *key)
                )
            _check_chart(data, dependency.name, version, where)
            self._fetched[key] = data
        return self._fetched[key]

    def _check_host(self, dependency: Dependency, where: str) -> None:
        """Pass if a trusted layer allows the host; raises ConfigError."""
        settings = self._task.settings
        scheme, host = _scheme_and_host(dependency.repository)
        lacking = f"charts/ lacks {dependency.name}, which the chart depends on"
        if not host:
            raise ConfigError(
                f"{lacking}, and {dependency.repository!r} is not the URL of a repository",
                where=where,
                hint="write https:// or oci:// with a host",
            )
        allowed = settings.texts(_PARAMETER)
        if not host_patterns.matches_any(allowed, host, scheme):
            raise ConfigError(
                f"{lacking}, and {host} is not allowed as a source",
                where=where,
                hint=(
                    "run `helm dependency build` and commit charts/, or let a trusted layer name"
                    " the host in chartRepositories"
                )
                + (f" (it names {', '.join(allowed)})" if allowed else ""),
            )
        if scheme != "https" and not is_loopback(host) and not settings.flag("allowPlainHttp"):
            raise ConfigError(
                f"{lacking}, and {host} would be asked over plain http",
                where=where,
                hint="write https",
            )

    def _from_index(self, transport: Transport, repository: str, name: str, version: str) -> bytes:
        """The packed chart from a repository with an index.yaml, compared with the digest in it."""
        base = f"{repository.rstrip('/')}/"
        index = self._get(transport, f"{base}index.yaml", base)
        entry = _entry(index, name, version)
        if entry is None:
            message = f"{display_url(repository)} has no chart {name} in version {version}"
            hint = "correct the version, or run `helm dependency update`"
            if len(index) > MAX_INDEX:
                message += ", as far as its index can be read"
                hint += f"; more than {MAX_INDEX >> 20} MiB are read only as"
                hint += " `helm repo index` writes them"
            raise ConfigError(message, hint=hint)
        urls, digest = entry.get("urls"), text_at(entry, "digest").removeprefix("sha256:")
        host = Registry(scheme=urlsplit(base).scheme, host=urlsplit(base).netloc)
        url = (
            absolute_url(urls[0], base, host)
            if isinstance(urls, list) and urls and isinstance(urls[0], str)
            else ""
        )
        if not may_follow(url, host):
            raise ConfigError(
                f"the index of {display_url(repository)} has no URL for {name} {version} that"
                " may be asked",
                hint="name the chart's OCI registry",
            )
        data = self._get(transport, url, base)
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise DigestMismatch(
                f"{display_url(url)} has another digest than in the index of"
                f" {display_url(repository)}",
                hint="the repository or a proxy before it serves wrong content",
            )
        return data

    def _get(self, transport: Transport, url: str, base: str) -> bytes:
        """The content at `url`, with the login if it is on the host of the repository at `base`."""
        headers = {}
        parts = urlsplit(url)
        if parts.netloc == urlsplit(base).netloc:
            registry = Registry(scheme=parts.scheme, host=parts.netloc)
            found = registry_login(self._task, registry, role="", path="")
            if found:
                check_sending(
                    found,
                    registry.scheme,
                    registry.host,
                    allow_plain_http=self._task.settings.flag("allowPlainHttp"),
                )
                headers = {"Authorization": basic_authorization(found)}
        try:
            request = HttpRequest(method="GET", url=url, headers=headers, named_by=origin(base))
            return get_bytes(transport, request, "", largest=_MAX_CHART)
        except ConfigError as fault:
            hint = "correct the URL, or give its host a login in dockerConfigJSON"
            raise ConfigError(fault.message, where=fault.where, hint=hint) from fault
        except TransportError as fault:
            raise RegistryUnreachable(
                f"{display_url(url)} cannot be reached: {fault}",
                where=fault.where,
                hint="see whether the host answers, or commit charts/",
            ) from fault

    def _from_registry(
        self, transport: Transport, repository: str, name: str, version: str
    ) -> bytes:
        """The packed chart from an OCI registry: its layer, compared with its digest."""
        _, host = _scheme_and_host(repository)
        scheme = "http" if is_loopback(host) else "https"
        registry, path = parse_registry(f"{scheme}://{repository.removeprefix('oci://')}/{name}")
        chart = Repository(registry=registry, name=path)
        login = registry_login(self._task, registry, role="", path=path)
        client = RegistryClient(
            Endpoint(registry=registry, role="chart", login=login),
            transport=transport,
            allow_plain_http=self._task.settings.flag("allowPlainHttp"),
        )
        tag = version.replace("+", "_")
        manifest = client.find_manifest(chart.reference(tag))
        layer = (
            next((blob for blob in manifest.blobs if blob.media_type == _CHART_MEDIA_TYPE), None)
            if manifest
            else None
        )
        if layer is None:
            raise ConfigError(
                f"{repository}/{name}:{tag} {'is not a chart' if manifest else 'does not exist'}",
                hint="correct the version, or run `helm dependency update`",
            )
        return _layer(client, chart, layer)


def _scheme_and_host(repository: str) -> tuple[str, str]:
    """Scheme and `host[:port]` of a repository's URL; both are empty if the URL is not valid.

    A registry is asked over https, on this machine over http.
    """
    parts = urlsplit(repository)
    if (
        parts.scheme not in ("https", "http", "oci")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        return "", ""
    scheme = (
        "http"
        if parts.scheme == "oci" and is_loopback(parts.netloc)
        else parts.scheme.replace("oci", "https")
    )
    return scheme, parts.netloc


def _read(index: bytes) -> dict[str, object]:
    """The content of an index, or of a part; empty if too large: YAML takes 100 times its size."""
    return first_mapping(index) if len(index) <= MAX_INDEX else {}


def _entry(index: bytes, name: str, version: str) -> dict[str, object] | None:
    """The entry of a chart's version in an index.yaml, None if the index lacks it.

    From a large index, only the lines of that chart are read.
    """
    found = re.search(
        rb"^  " + re.escape(name).encode() + rb":[^\S\n]*\n((?:  [ -].*\n?|[^\S\n]*\n)+)",
        index,
        re.MULTILINE,
    )
    index_data = (_read(b"entries:\n" + found[0]) if found else {}) or _read(index)
    versions = maps_at(index_data, "entries", name)
    return next(
        (
            entry
            for entry in versions
            if text_at(entry, "version").removeprefix("v") == version.removeprefix("v")
        ),
        None,
    )


def _layer(client: RegistryClient, repository: Repository, layer: Descriptor) -> bytes:
    if layer.size > _MAX_CHART:
        raise RenderError(
            f"the chart in {repository.name} has {layer.size} bytes, and at most {_MAX_CHART} are"
            " read",
            where=str(client.registry),
            hint="exclude the files that it does not need (.helmignore), or commit charts/",
        )
    stream = BlobStream(client, repository, layer, stop=Event(), clock=client.transport.clock)
    return b"".join(bytes(piece) for piece in stream.pieces())


def _check_chart(data: bytes, name: str, version: str, where: str) -> None:
    """Pass if the archive contains this chart; raises RenderError."""
    chart = first_mapping(unpack_chart(name, data)["Chart.yaml"])
    actual_name, actual_version = text_at(chart, "name"), text_at(chart, "version")
    if actual_name != name or actual_version.removeprefix("v") != version.removeprefix("v"):
        raise RenderError(
            f"the archive for chart {name} {version} holds chart {actual_name} {actual_version}",
            where=where,
            hint="the repository serves another chart under this name",
        )
