"""A registry in a container of a real engine, and the engine's own images as a source.

No image is pulled.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from tests.calls import Ending, configure, request
from tests.fakes.archives import config_of, old_save, plain_layers, tar
from tests.fakes.child import free_port
from tests.fakes.docker_engine import DockerEngine, NoEngine, engine
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import make_image, make_index, put
from tests.fakes.registry import digest_of

IMAGE = make_image(layers=3, size=200_000)


@pytest.fixture(scope="module")
def docker_engine() -> Iterator[DockerEngine]:
    try:
        with contextlib.ExitStack() as stack:
            found = stack.enter_context(engine())
            with pytest.MonkeyPatch.context() as patch:
                # the image of the default one would have to be pulled
                patch.setattr(testcontainers_config, "ryuk_disabled", True)
                yield found
    except NoEngine as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def image(docker_engine: DockerEngine) -> Iterator[str]:
    """The id of an image that has only Debian's docker-registry; an id cannot be pulled."""
    with contextlib.closing(docker_engine.client()) as client:
        answer = client.api.import_image_from_data(
            root(), repository=f"towline-tests/{secrets.token_hex(4)}", tag="1"
        )
        found = str(json.loads(answer.splitlines()[-1])["status"])
        yield found
        client.images.remove(found, force=True)


@pytest.fixture
def registry(docker_engine: DockerEngine, image: str) -> Iterator[str]:
    """The URL of that registry in a container."""
    port = free_port() if docker_engine.own else 5000
    container = DockerContainer(
        image,
        docker_client_kw={"environment": docker_engine.environ},
        command="/usr/bin/docker-registry serve /config.yml",
        env={"REGISTRY_HTTP_ADDR": f"{'127.0.0.1' if docker_engine.own else ''}:{port}"},
        _wait_strategy=LogMessageWaitStrategy("listening on"),
        **({"network_mode": "host"} if docker_engine.own else {"ports": [port]}),
    )
    with container:
        yield (
            f"http://127.0.0.1:{port}"
            if docker_engine.own
            else f"http://{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
        )


@pytest.fixture
def local(tmp_path: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "registry") as started:
        yield started


def root() -> bytes:
    """A root file system as an archive: the program, its shared libraries, and a configuration."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not on PATH; install it: apt-get install docker-registry"
    linked = re.findall(
        r"(/\S+) \(0x",
        subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout,
    )
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": "/storage"}},
        "http": {"addr": ":5000"},
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        archive.add(program, "usr/bin/docker-registry")
        for library in linked:
            archive.add(library, library.lstrip("/"))
        text = json.dumps(settings).encode()
        member = tarfile.TarInfo("config.yml")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return stream.getvalue()


def test_an_index_goes_to_a_registry_in_a_container_and_comes_back(
    registry: str,
    local: DockerRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = make_index(size=300_000, layers=2)
    put(index, local.url, "team/app", "1.0")
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, f"steps:\n  imagePushToRegistry:\n    targetRegistryUrl: {registry}\n")
    known = {
        "container/registryUrl": local.url,
        "container/imageNames": ["team/app"],
        "artifactVersion": "1.0",
    }
    flag = request(tmp_path, step="imagePushToRegistry", pipelineEnvironment=known)
    pushed = Ending(["run", "imagePushToRegistry", *flag], tmp_path)
    assert (pushed.code, pushed.result["status"]) == (0, "success"), pushed.err
    assert pushed.result["pipelineEnvironment"]["container/targetImageDigests"] == [index.digest]
    assert Ending(["run", "imagePushToRegistry", *flag], tmp_path).result["status"] == "unchanged"
    with DockerRegistry(tmp_path / "back") as back:
        returned = Ending(
            [
                "copy",
                f"docker://{registry.removeprefix('http://')}/team/app:1.0",
                f"docker://{back.host}/back/app:1.0",
            ],
            tmp_path,
        )
        assert returned.code == 0, returned.err
        assert back.manifest_digest("back/app", "1.0") == index.digest
        wanted = {**{part.digest: part.manifest for part in index.walk()}, **index.all_blobs()}
        assert {digest: back.blob(digest) for digest in wanted} == wanted


def test_an_image_of_the_engine_arrives_with_its_configuration_and_layers(
    docker_engine: DockerEngine, local: DockerRegistry, tmp_path: Path
) -> None:
    name = f"towline-tests/{secrets.token_hex(4)}:1"
    with contextlib.closing(docker_engine.client()) as client:
        client.images.load(tar(old_save([([name], IMAGE)])))
        try:
            words = ["copy", f"docker-daemon:{name}", f"docker://{local.host}/team/app:1.0"]
            first, second = (Ending(words, tmp_path, docker_engine.environ) for _ in range(2))
        finally:
            client.images.remove(name)
    assert (first.code, first.result["status"], second.result["status"]) == (
        0,
        "success",
        "unchanged",
    ), first.err + second.err
    digest = local.manifest_digest("team/app", "1.0")
    assert digest == digest_of(local.blob(digest))
    assert digest in json.dumps(first.result)
    assert local.unpacked(digest) == (config_of(IMAGE), plain_layers(IMAGE))


def test_an_image_that_the_engine_has_not_is_said(
    docker_engine: DockerEngine, local: DockerRegistry, tmp_path: Path
) -> None:
    ending = Ending(
        ["copy", "docker-daemon:towline-tests/none:1", f"docker://{local.host}/team/app:1.0"],
        tmp_path,
        docker_engine.environ,
    )
    assert (
        ending.code,
        "the Docker daemon has no image 'towline-tests/none:1'" in ending.message,
    ) == (3, True)
