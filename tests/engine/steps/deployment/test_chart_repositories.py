"""Charts from loopback servers: a repository with an index, and an OCI registry."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.steps.deployment.test_images import images
from tests.fakes.names import OUTSIDE, Names
from tests.fakes.registry import FakeRegistry, digest_of
from tests.fakes.serve import Answer, LoopbackServer, Request
from tests.trust import addressees
from towline.config.metadata import load_schema
from towline.console import Console
from towline.contract import Build
from towline.errors import (
    ConfigError,
    CredentialError,
    DigestMismatch,
    RegistryUnreachable,
    RenderError,
    TowlineError,
)
from towline.gitops.helm.chart_files import Dependency
from towline.steps.deployment.chart_repositories import MAX_INDEX, ChartRepositories
from towline.steps.task import Task

WHERE = "charts/web/Chart.yaml"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def packed(name: str = "redis", version: str = "18.1.2", more: bytes = b"") -> bytes:
    archive = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path, content in {
            "Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n".encode(),
            "more": more,
        }.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


class Shelf(LoopbackServer):
    """A chart repository: answers by path, and keeps the logins that came."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Answer] = {}
        self.logins: list[str | None] = []

    def answer(self, request: Request) -> Answer:
        self.logins.append(request.headers.get("authorization"))
        return self.answers.get(request.path, Answer(status=404))

    def offer(
        self, data: bytes, *, url: str = "redis-18.1.2.tgz", digest: str = "", more: str = ""
    ) -> None:
        digest = digest or hashlib.sha256(data).hexdigest()
        index = (
            f"apiVersion: v1\nentries:\n  other:\n  - {{version: 18.1.2, urls: [no]}}\n{more} "
            f" redis:\n  - digest: {digest}\n    urls:\n    - {url}\n    version: 18.1.2\n"
        )
        self.answers["/charts/index.yaml"] = Answer(
            status=200, body=f"{index}  - version: 17.0.0\ngenerated: now\n".encode()
        )
        self.answers["/charts/redis-18.1.2.tgz"] = Answer(status=200, body=data)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        server.offer(packed())
        yield server


class Fetcher:
    """Fetches as a step with these parameters does."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.log = io.StringIO()
        settings = images(tool="helm", chartPath="c", deploymentName="d", **parameters).settings
        task = Task(
            settings=settings,
            pipeline_environment={},
            stage="",
            build=Build(),
            folder=folder,
            environ={},
            console=Console(self.log),
            dry_run=False,
            addressees=addressees(settings),
        )
        self.repositories = ChartRepositories(task)

    def __call__(self, repository: str, *, version: str = "18.1.2", locked: str = "") -> bytes:
        return self.repositories.fetch(
            Dependency(name="redis", version=version, repository=repository, locked=locked),
            where=WHERE,
        )


def fault(kind: type[Exception], fetch: Fetcher, repository: str, **more: str) -> Any:
    with pytest.raises(kind) as caught:
        fetch(repository, **more)
    return caught.value


def test_of_a_large_index_the_lines_of_the_chart_are_read(shelf: Shelf, tmp_path: Path) -> None:
    """The whole index would take a hundred times as much memory."""
    others = "  - {name: x, version: 0.0.1, urls: [x.tgz]}\n" * (MAX_INDEX // 45)
    chart = packed()
    shelf.offer(chart, more=f"  x:\n{others}")
    assert len(shelf.answers["/charts/index.yaml"].body) > MAX_INDEX
    assert Fetcher(tmp_path, chartRepositories=[shelf.host])(f"{shelf.url}/charts") == chart
    versions = "{version: 18.1.2, urls: [x]}, " * (MAX_INDEX // 30 + 1)
    shelf.answers["/charts/index.yaml"] = Answer(
        status=200, body=f"entries: {{redis: [{versions}]}}".encode()
    )
    found = fault(
        ConfigError, Fetcher(tmp_path, chartRepositories=[shelf.host]), f"{shelf.url}/charts"
    )
    assert found.message.endswith(
        "has no chart redis in version 18.1.2, as far as its index can be read"
    )
    assert "more than 8 MiB are read only as" in found.hint


def test_an_index_that_aliases_multiply_has_no_such_version(shelf: Shelf, tmp_path: Path) -> None:
    """Such an index would fill the memory as a text."""
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]" for n in range(40)]
    index = "\n".join([*lines, "entries: {redis: [{version: *a39, urls: [x]}]}"]).encode()
    shelf.answers["/charts/index.yaml"] = Answer(status=200, body=index)
    found = fault(
        ConfigError, Fetcher(tmp_path, chartRepositories=[shelf.host]), f"{shelf.url}/charts"
    )
    assert "has no chart redis in version 18.1.2" in found.message


def test_a_chart_comes_from_a_repository_that_is_allowed_and_once(
    shelf: Shelf, tmp_path: Path
) -> None:
    fetch = Fetcher(tmp_path, chartRepositories=[shelf.host])
    assert (
        fetch(f"{shelf.url}/charts", version="^18", locked="18.1.2")
        == fetch(f"{shelf.url}/charts", version="^18", locked="18.1.2")
        == packed()
    )
    assert [request.path for request in shelf.requests] == [
        "/charts/index.yaml",
        "/charts/redis-18.1.2.tgz",
    ]
    assert shelf.logins == [None, None]
    assert fetch.log.getvalue() == f"  chart redis 18.1.2 from {shelf.url}/charts\n"


@pytest.mark.parametrize("allowed", [[], ["charts.example.com", "127.0.0.1:1"]])
def test_no_other_host_is_asked(shelf: Shelf, tmp_path: Path, allowed: list[str]) -> None:
    found = fault(ConfigError, Fetcher(tmp_path, chartRepositories=allowed), f"{shelf.url}/charts")
    assert (
        found.message
        == f"charts/ lacks redis, which the chart depends on, and {shelf.host} is not allowed as a"
        " source"
    )
    assert found.where == WHERE
    assert "helm dependency build" in found.hint
    assert "chartRepositories" in found.hint
    assert shelf.requests == ()


@pytest.mark.parametrize(
    "repository",
    [
        "@stable",
        "alias:x",
        "ftp://charts.example.com",
        "https://",
        "https://u:p@charts.example.com",
        "https://charts.example.com?a=b",
    ],
)
def test_what_is_no_url_of_a_repository_is_named(tmp_path: Path, repository: str) -> None:
    found = fault(
        ConfigError, Fetcher(tmp_path, chartRepositories=["charts.example.com"]), repository
    )
    assert "not the URL of a repository" in found.message
    assert "https://" in found.hint


def test_a_project_cannot_allow_a_host() -> None:
    (parameter,) = (
        one
        for one in load_schema("gitOpsUpdateDeployment").parameters
        if one.name == "chartRepositories"
    )
    assert parameter.trusted


def test_a_range_without_a_lock_is_refused_before_anybody_is_asked(
    shelf: Shelf, tmp_path: Path
) -> None:
    found = fault(
        ConfigError,
        Fetcher(tmp_path, chartRepositories=[shelf.host]),
        f"{shelf.url}/charts",
        version="^18",
    )
    assert "no Chart.lock names the version" in found.message
    assert shelf.requests == ()


def test_a_version_that_is_not_there_is_named(shelf: Shelf, tmp_path: Path) -> None:
    found = fault(
        ConfigError,
        Fetcher(tmp_path, chartRepositories=[shelf.host]),
        f"{shelf.url}/charts",
        version="18.1.3",
    )
    assert found.message == f"{shelf.url}/charts has no chart redis in version 18.1.3"
    assert found.where == WHERE


def test_other_bytes_than_the_index_says_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    shelf.offer(packed(), digest="0" * 64)
    assert (
        "has another digest than in the index"
        in fault(
            DigestMismatch, Fetcher(tmp_path, chartRepositories=[shelf.host]), f"{shelf.url}/charts"
        ).message
    )


@pytest.mark.parametrize("data", [packed("evil"), packed(version="18.1.3"), b"no chart"])
def test_another_chart_under_the_name_is_refused(shelf: Shelf, tmp_path: Path, data: bytes) -> None:
    shelf.offer(data)
    fault(RenderError, Fetcher(tmp_path, chartRepositories=[shelf.host]), f"{shelf.url}/charts")


def test_an_index_of_another_layout_is_read_as_a_whole(shelf: Shelf, tmp_path: Path) -> None:
    index = {"entries": {"redis": [{"version": "v18.1.2", "urls": ["/charts/redis-18.1.2.tgz"]}]}}
    shelf.answers["/charts/index.yaml"] = Answer(status=200, body=json.dumps(index).encode())
    assert Fetcher(tmp_path, chartRepositories=[shelf.host])(f"{shelf.url}/charts/") == packed()


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"a: [",
        b"entries: 5",
        b"entries: {redis: {a: b}}",
        b"entries:\n  redis:\n  - version: 18.1.2\n    urls: []\n",
        b"entries:\n  redis:\n  - version: 18.1.2\n    urls: ['file:///etc/passwd']\n",
        b"entries:\n  redis:\n  - version: 18.1.2\n    urls: ['http://[::1']\n",
    ],
)
def test_an_index_that_has_no_place_for_it_is_named(
    shelf: Shelf, tmp_path: Path, index: bytes
) -> None:
    shelf.answers["/charts/index.yaml"] = Answer(status=200, body=index)
    fault(ConfigError, Fetcher(tmp_path, chartRepositories=[shelf.host]), f"{shelf.url}/charts")


def test_the_login_for_the_host_goes_to_it_and_to_no_other(shelf: Shelf, tmp_path: Path) -> None:
    auth = base64.b64encode(b"puller:pull-pass-word").decode()
    with Shelf() as store:
        store.answers["/x.tgz"] = Answer(status=200, body=packed())
        shelf.offer(packed(), url=f"{store.url}/x.tgz")
        config = json.dumps({"auths": {shelf.host: {"auth": auth}, store.host: {"auth": auth}}})
        fetch = Fetcher(tmp_path, chartRepositories=[shelf.host], dockerConfigJSON=config)
        assert fetch(f"{shelf.url}/charts") == packed()
        assert (shelf.logins, store.logins) == ([f"Basic {auth}"], [None])
        found = fault(
            CredentialError,
            Fetcher(
                tmp_path,
                chartRepositories=[shelf.host],
                dockerConfigJSON=config,
                credentialHosts=["x.example.com"],
            ),
            f"{shelf.url}/charts",
        )
        assert "x.example.com" in found.hint


def publish(
    registry: FakeRegistry, name: str, tag: str, data: bytes, media_type: str = CONTENT
) -> None:
    config = b"{}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(CONFIG, config),
            "layers": [
                descriptor("application/vnd.cncf.helm.chart.provenance.v1.prov", b"prov"),
                descriptor(media_type, data),
            ],
        }
    ).encode()
    place = registry.create(name)
    place.blobs.update({digest_of(blob): blob for blob in (config, data, b"prov")})
    place.manifests[digest_of(manifest)] = ("application/vnd.oci.image.manifest.v1+json", manifest)
    place.tags[tag] = digest_of(manifest)


def descriptor(media_type: str, data: bytes) -> Mapping[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def test_a_chart_comes_from_an_oci_registry_with_a_login(tmp_path: Path) -> None:
    large = packed(version="18.1.2+b1", more=bytes(range(256)) * 40_000)
    with FakeRegistry(username="puller", password="pull-pass-word", auth="bearer") as registry:
        publish(registry, "team/charts/redis", "18.1.2_b1", large)
        config = json.dumps(
            {
                "auths": {
                    registry.host: {"auth": base64.b64encode(b"puller:pull-pass-word").decode()}
                }
            }
        )
        fetch = Fetcher(tmp_path, chartRepositories=[registry.host], dockerConfigJSON=config)
        assert fetch(f"oci://{registry.host}/team/charts", version="18.1.2+b1") == large
        assert (
            "does not exist"
            in fault(
                ConfigError, fetch, f"oci://{registry.host}/team/charts", version="1.0.0"
            ).message
        )
        publish(
            registry,
            "team/charts/redis",
            "2.0.0",
            b"image",
            media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        )
        assert (
            "is not a chart"
            in fault(
                ConfigError, fetch, f"oci://{registry.host}/team/charts", version="2.0.0"
            ).message
        )


def test_a_repository_that_does_not_answer_names_the_chart_that_wants_it(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.answers["/charts/index.yaml"] = Answer(status=403)
    found = fault(
        ConfigError, Fetcher(tmp_path, chartRepositories=[shelf.host]), f"{shelf.url}/charts"
    )
    assert (found.message, found.where) == (f"{shelf.url}/charts/index.yaml answers 403", WHERE)
    assert "dockerConfigJSON" in found.hint
    closed = fault(
        RegistryUnreachable,
        Fetcher(tmp_path, chartRepositories=["127.0.0.1:1"]),
        "http://127.0.0.1:1",
    )
    assert (closed.message, closed.where) == (
        "http://127.0.0.1:1/index.yaml cannot be reached: connection refused",
        "http://127.0.0.1:1",
    )
    packed_there = fault(
        RegistryUnreachable,
        Fetcher(tmp_path, chartRepositories=["127.0.0.1:1"]),
        "oci://127.0.0.1:1/charts",
    )
    assert packed_there.message.startswith("the chart registry 127.0.0.1:1 cannot be reached")
    assert "staging" not in packed_there.hint


OTHER = "93.184.216.35"


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("http://files.example.com/x.tgz", [OTHER, OUTSIDE]),
        ("http://inside.example.com/x.tgz", [OTHER]),
        ("http://10.0.0.1/x.tgz", [OTHER]),
    ],
)
def test_an_index_from_outside_does_not_lead_into_a_private_network(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, dialled: list[str]
) -> None:
    shelf.answers["/x.tgz"] = Answer(status=200, body=packed())
    shelf.offer(packed(), url=url)
    known = {
        "charts.example.com": OTHER,
        "files.example.com": OUTSIDE,
        "inside.example.com": "10.0.0.1",
    }
    names = Names(monkeypatch, known, port=int(shelf.host.rpartition(":")[2]))
    fetch = Fetcher(tmp_path, chartRepositories=["charts.example.com"], allowPlainHttp=True)
    if "files" in url:
        assert fetch("http://charts.example.com/charts") == packed()
    else:
        fault(TowlineError, fetch, "http://charts.example.com/charts")
    assert list(dict.fromkeys(names.dialled)) == dialled
