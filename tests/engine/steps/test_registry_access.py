from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.authority import Authority
from tests.fakes.credential_helper import install
from tests.fakes.images import ImageParts, make_image, put
from tests.fakes.proxy import ProxyServer
from tests.fakes.registry import FakeRegistry, Record, Status, on
from towline import deadline
from towline.steps import registry_access

PASSWORD = "target-pass-word"
LOGIN = {"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": PASSWORD}


class Place:
    """A workspace on an agent, with an image in a staging registry; `push` takes it to the
    target at `url`.
    """

    def __init__(self, folder: Path, staging: FakeRegistry, target: FakeRegistry) -> None:
        self.agent, self.folder, self.staging, self.target = (
            folder,
            folder / "workspace",
            staging,
            target,
        )
        self.image: ImageParts = make_image()
        self.url = target.url
        put(self.image, staging, "team/app", "1.0")
        self.configure()

    def configure(self, more: str = "") -> None:
        configure(
            self.folder, f"steps:\n  imagePushToRegistry:\n{more}    sourceImages: [team/app]\n"
        )

    def push(self, environ: Mapping[str, str], **parameters: object) -> Ending:
        known = {"container/registryUrl": self.staging.url, "artifactVersion": "1.0"}
        flag = request(
            self.folder,
            step="imagePushToRegistry",
            pipelineEnvironment=known,
            parameters={"targetRegistryUrl": self.url, **parameters},
        )
        return Ending(["run", "imagePushToRegistry", *flag], self.folder, environ)

    def pushed(self) -> bool:
        return self.target.storage.get("team/app") is not None and self.target.storage[
            "team/app"
        ].tags == {"1.0": self.image.digest}


@contextlib.contextmanager
def served(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Place]:
    (folder / "workspace").mkdir()
    target = FakeRegistry(username="pusher", password=PASSWORD)
    target.tls = tls
    with FakeRegistry() as staging, target, contextlib.chdir(folder / "workspace"):
        yield Place(folder, staging, target)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with served(tmp_path) as ready:
        yield ready


@pytest.fixture
def secure(tmp_path: Path, authority: Authority) -> Iterator[Place]:
    with served(
        tmp_path,
        authority.issue("registry", names="IP:127.0.0.1,DNS:registry.example.com").server(),
    ) as ready:
        yield ready


def auth(password: str = PASSWORD) -> dict[str, str]:
    return {"auth": base64.b64encode(f"pusher:{password}".encode()).decode()}


# TLS


def test_an_authority_of_ones_own_is_trusted(secure: Place, authority: Authority) -> None:
    ending = secure.push({**LOGIN, "PIPER_customTlsCertificateLinks": str(authority.certificate)})
    assert (ending.code, secure.pushed()) == (0, True), ending.err


def test_without_it_the_error_says_where_it_may_be_named(secure: Place) -> None:
    ending = secure.push(LOGIN)
    assert ending.code == 5
    assert "not trusted" in ending.message
    assert "PIPER_customTlsCertificateLinks" in ending.hint


@pytest.mark.parametrize(
    "name",
    [
        "customTlsCertificateLinks: [https://pki.example.com/ca.crt]",
        "insecureRegistries: [registry.example.com]",
        "clientCertificates: {registry.example.com: /etc/x.pem}",
        "clientKeys: {registry.example.com: /etc/x.pem}",
    ],
)
def test_what_a_pull_request_can_change_chooses_no_trust_and_is_told_who_does(
    secure: Place, name: str
) -> None:
    secure.configure(f"    {name}\n")
    ending = secure.push(LOGIN)
    key = name.partition(":")[0]
    assert ending.code == 3
    assert ending.where == ".pipeline/config.yml:3"
    assert f"{key} may not be set" in ending.message
    for way in (
        "remove it there",
        "TOWLINE_DEFAULTS",
        f"PIPER_{key} on the agent",
        f"{key} in the call of the step",
    ):
        assert way in ending.hint
    assert not secure.target.requests


def test_in_a_stage_that_key_is_for_the_steps_that_build(place: Place) -> None:
    configure(
        place.folder,
        "steps: {imagePushToRegistry: {sourceImages: [team/app]}}\nstages: {Build:"
        " {customTlsCertificateLinks: ['https://pki/ca.crt']}}\n",
    )
    assert place.push(LOGIN).code == 0


def test_an_authority_in_the_workspace_is_refused_even_where_the_agent_names_it(
    secure: Place, authority: Authority
) -> None:
    (secure.folder / "ca.pem").write_bytes(authority.certificate.read_bytes())
    ending = secure.push({**LOGIN, "PIPER_customTlsCertificateLinks": "ca.pem"})
    assert (ending.code, ending.where) == (3, "PIPER_customTlsCertificateLinks")
    assert not secure.target.requests


def test_a_certificate_over_plain_http_costs_a_warning(secure: Place, authority: Authority) -> None:
    ending = secure.push(
        LOGIN, customTlsCertificateLinks=["http://127.0.0.1:1/ca.pem?token=hunter2"]
    )
    assert ending.code == 3
    assert (
        "warning: the certificate at http://127.0.0.1:1/ca.pem comes over plain http" in ending.err
    )
    assert "hunter2" not in ending.err + ending.message


def test_an_insecure_registry_is_spelled_out_and_costs_a_warning_each_time(secure: Place) -> None:
    for _ in range(2):
        ending = secure.push(LOGIN, insecureRegistries=[secure.target.host])
        assert ending.code == 0, ending.err
        assert f"warning: the certificate of {secure.target.host} is not verified" in ending.err


@pytest.mark.parametrize(
    "host",
    [
        "*",
        "https://registry.example.com",
        "registry.example.com/team",
        "*.example.com",
        ".example.com",
    ],
)
def test_an_insecure_registry_is_a_host_and_no_pattern(place: Place, host: str) -> None:
    ending = place.push(LOGIN, insecureRegistries=[host])
    assert ending.code == 3
    assert "insecureRegistries has" in ending.message


def test_a_client_certificate_is_shown_to_its_registry(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("agent")
    known = {**LOGIN, "PIPER_customTlsCertificateLinks": str(authority.certificate)}
    with served(tmp_path, authority.issue("asking").server(clients=authority.certificate)) as place:
        certificates, keys = (
            {place.target.host: str(mine.certificate)},
            {place.target.host: str(mine.key)},
        )
        assert place.push(known).code == 5
        assert place.push(known, clientKeys=keys).code == 3
        ending = place.push(known, clientCertificates=certificates, clientKeys=keys)
        assert (ending.code, place.pushed()) == (0, True), ending.err


def test_a_proxy_of_the_environment_is_used_and_its_password_masked(
    secure: Place, authority: Authority
) -> None:
    secure.url, secure.target.relative_location = "https://registry.example.com", True
    with ProxyServer(
        {"registry.example.com:443": secure.target.host}, login="me:proxy-pass-word"
    ) as proxy:
        known = {**LOGIN, "PIPER_customTlsCertificateLinks": str(authority.certificate)}
        ending = secure.push({**known, "https_proxy": f"http://me:proxy-pass-word@{proxy.host}"})
        assert (ending.code, secure.pushed()) == (0, True), ending.err
        refused = secure.push({**known, "https_proxy": f"http://me:wrong-pass-word@{proxy.host}"})
    assert set(proxy.lines) == {"CONNECT registry.example.com:443"}
    assert "answers 407" in refused.message
    assert "pass-word" not in ending.err + refused.err + json.dumps(refused.result)


# Logins


def write(path: Path, **config: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))
    return path


def test_a_docker_configuration_is_a_path_or_its_text(place: Place) -> None:
    text = json.dumps({"auths": {place.target.host: auth()}})
    path = place.agent / "docker.json"
    path.write_text(text)
    for value in (str(path), f"  {text}"):
        ending = place.push({"PIPER_dockerConfigJSON": value})
        assert ending.code == 0, ending.err
    assert path.read_text() == text


def test_a_configuration_without_a_login_for_the_registry_is_told(place: Place) -> None:
    ending = place.push(
        {
            "PIPER_dockerConfigJSON": json.dumps(
                {"auths": {"other.example": {"username": "pusher", "password": PASSWORD}}}
            )
        }
    )
    assert ending.code == 4
    assert (
        f"dockerConfigJSON has no login for {place.target.host}: it is asked without a user"
        " (PIPER_dockerConfigJSON)" in ending.err
    )


def test_the_text_of_a_docker_configuration_is_not_shown(place: Place) -> None:
    wrong = json.dumps({"auths": {place.target.host: auth("wrong-pass-word")}})
    ending = place.push({"PIPER_dockerConfigJSON": wrong})
    assert ending.code == 4
    explained = Ending(
        ["explain", "imagePushToRegistry", "dockerConfigJSON"],
        place.folder,
        {"PIPER_dockerConfigJSON": wrong},
    )
    shown = ending.err + json.dumps(ending.result) + explained.err + explained.out
    assert "wrong-pass-word" not in shown
    assert auth("wrong-pass-word")["auth"] not in shown


def test_a_helper_of_a_trusted_configuration_is_asked_and_what_it_says_is_masked(
    place: Place,
) -> None:
    environ = install(place.agent / "bin", "store", {place.target.host: ("pusher", PASSWORD)})
    path = write(place.agent / "docker.json", credHelpers={place.target.host: "store"})
    ending = place.push({**environ, "PIPER_dockerConfigJSON": str(path)})
    assert (ending.code, place.pushed()) == (0, True), ending.err
    assert PASSWORD not in ending.err


@pytest.mark.parametrize("way", ["project", "agent names a file of the workspace", "link"])
def test_what_a_pull_request_can_change_chooses_no_program(place: Place, way: str) -> None:
    """Facts section 4, "credential helper execution": the name comes from a configuration."""
    environ = install(place.agent / "bin", "store", {place.target.host: ("pusher", PASSWORD)})
    inside = write(
        place.folder / "docker.json", credsStore="store", credHelpers={place.target.host: "store"}
    )
    (place.agent / "link.json").symlink_to(inside)
    if way == "project":
        place.configure("    dockerConfigJSON: docker.json\n")
    else:
        environ["PIPER_dockerConfigJSON"] = (
            str(place.agent / "link.json") if way == "link" else "docker.json"
        )
    ending = place.push(environ)
    assert ending.code == 4
    assert (
        "warning: docker-credential-store is not asked: a pull request could change" in ending.err
    )
    assert not (place.agent / "bin" / "seen.json").exists()


@pytest.mark.parametrize("source", ["parameters", "configuration", "helper", "agent"])
def test_a_registry_that_repeats_what_it_was_sent_is_masked_wherever_that_came_from(
    place: Place, source: str
) -> None:
    config = write(place.agent / ".docker" / "config.json", auths={place.target.host: auth()})
    store = write(place.agent / "store.json", credsStore="store")
    environ = {
        "parameters": LOGIN,
        "configuration": {"PIPER_dockerConfigJSON": str(config)},
        "agent": {"HOME": str(place.agent)},
        "helper": {
            **install(place.agent / "bin", "store", {place.target.host: ("pusher", PASSWORD)}),
            "PIPER_dockerConfigJSON": str(store),
        },
    }[source]
    told = {"errors": [{"code": "DENIED", "message": f"not {PASSWORD} nor {auth()['auth']}"}]}
    place.target.fault = on("POST", "", Status(code=403, body=json.dumps(told).encode()), times=99)
    ending = place.push(environ)
    assert "DENIED: not **** nor ****" in ending.message
    assert "DENIED: not **** nor ****" in ending.err


def test_a_helper_that_fails_ends_the_step_where_it_was_asked_for(place: Place) -> None:
    environ = install(place.agent / "bin", "store", script="echo locked; exit 1")
    path = write(place.agent / "docker.json", credsStore="store")
    ending = place.push({**environ, "PIPER_dockerConfigJSON": str(path)})
    assert ending.code == 4
    assert "docker-credential-store ends with 1: locked" in ending.message


@pytest.mark.parametrize(
    ("variable", "place_of"),
    [
        ("HOME", ".docker/config.json"),
        ("DOCKER_CONFIG", "config.json"),
        ("REGISTRY_AUTH_FILE", ""),
        ("XDG_RUNTIME_DIR", "containers/auth.json"),
        ("HOME", ".config/containers/auth.json"),
        ("XDG_CONFIG_HOME", "containers/auth.json"),
    ],
)
def test_the_agents_own_login_is_the_last_source_and_its_file_is_not_changed(
    place: Place, variable: str, place_of: str
) -> None:
    root = place.agent / "there"
    path = write(
        root / place_of if place_of else place.agent / "auth.json",
        auths={place.target.host: auth()},
    )
    before = path.read_text(), path.stat().st_mtime_ns
    ending = place.push({variable: str(root if place_of else path)})
    assert (ending.code, place.pushed()) == (0, True), ending.err
    assert (path.read_text(), path.stat().st_mtime_ns) == before


def test_a_configured_login_counts_before_the_agents_own(place: Place) -> None:
    write(
        place.agent / ".docker" / "config.json", auths={place.target.host: auth("wrong-pass-word")}
    )
    assert place.push({**LOGIN, "HOME": str(place.agent)}).code == 0
    named = write(place.agent / "docker.json", auths={})
    ending = place.push(
        {"PIPER_dockerConfigJSON": str(named), "HOME": str(place.agent)}, targetImageTag="2"
    )
    assert ending.code == 4
    assert "a request without a user" in ending.message


@pytest.mark.parametrize(
    "content", ["{nonsense", '{"credsStore": "desktop"}', '{"credsStore": "../evil"}']
)
def test_an_agents_own_configuration_that_does_not_serve_is_a_warning(
    place: Place, content: str
) -> None:
    place.target.auth = "none"
    path = write(place.agent / ".docker" / "config.json")
    path.write_text(content)
    ending = place.push({"HOME": str(place.agent), "PATH": "/nowhere"})
    assert (ending.code, place.pushed()) == (0, True), ending.err
    assert "note: the agent's Docker configuration is left out" in ending.err


def test_a_login_for_the_images_path_counts_before_one_for_the_host(place: Place) -> None:
    path = write(
        place.agent / "docker.json",
        auths={place.target.host: auth("wrong-pass-word"), f"{place.target.host}/team": auth()},
    )
    ending = place.push({"PIPER_dockerConfigJSON": str(path)})
    assert (ending.code, place.pushed()) == (0, True), ending.err


def test_images_in_several_namespaces_have_each_the_login_for_its_own(place: Place) -> None:
    put(place.image, place.staging, "shop/web", "1.0")
    place.target.owners = {"shop": ("seller", "other-pass-word")}
    shop = {"username": "seller", "password": "other-pass-word"}
    for auths in (
        {f"{place.target.host}/team": auth(), f"{place.target.host}/shop": shop},
        {place.target.host: auth(), f"{place.target.host}/shop/web": shop},
    ):
        place.target.storage.clear()
        path = write(place.agent / "docker.json", auths=auths)
        ending = place.push(
            {"PIPER_dockerConfigJSON": str(path)}, sourceImages=["team/app", "shop/web"]
        )
        assert ending.code == 0, ending.err
        assert (
            place.target.storage["team/app"].tags
            == place.target.storage["shop/web"].tags
            == {"1.0": place.image.digest}
        )
        assert "other-pass-word" not in ending.err + json.dumps(ending.result)


def test_an_image_whose_namespace_has_no_login_is_named(place: Place) -> None:
    put(place.image, place.staging, "shop/web", "1.0")
    path = write(place.agent / "docker.json", auths={f"{place.target.host}/team": auth()})
    ending = place.push(
        {"PIPER_dockerConfigJSON": str(path)}, sourceImages=["team/app", "shop/web"]
    )
    assert ending.code == 4
    host = place.target.host
    assert (
        f"dockerConfigJSON has no login for {host}/shop/web, but for {host}/team: it is asked"
        " without a user" in ending.err
    )
    assert ending.err.count("has no login for") == 2  # for the source too


def test_the_agents_files_may_each_know_another_namespace(place: Place) -> None:
    put(place.image, place.staging, "shop/web", "1.0")
    place.target.owners = {"shop": ("seller", "other-pass-word")}
    write(place.agent / ".docker" / "config.json", auths={f"{place.target.host}/team": auth()})
    write(
        place.agent / ".config" / "containers" / "auth.json",
        auths={f"{place.target.host}/shop": {"username": "seller", "password": "other-pass-word"}},
    )
    ending = place.push({"HOME": str(place.agent)}, sourceImages=["team/app", "shop/web"])
    assert ending.code == 0, ending.err


def test_a_helper_is_asked_once_for_all_images_of_a_host(place: Place) -> None:
    put(place.image, place.staging, "team/web", "1.0")
    known = json.dumps({"Username": "pusher", "Secret": PASSWORD})
    environ = install(
        place.agent / "bin", "store", script=f"echo asked >> {place.agent}/asked; echo '{known}'"
    )
    path = write(place.agent / "docker.json", credHelpers={place.target.host: "store"})
    ending = place.push(
        {**environ, "PIPER_dockerConfigJSON": str(path)}, sourceImages=["team/app", "team/web"]
    )
    assert ending.code == 0, ending.err
    assert (place.agent / "asked").read_text() == "asked\n"


def test_all_images_of_a_run_cost_one_token_for_each_registry(place: Place) -> None:
    place.target.auth = "bearer"
    put(make_image(), place.staging, "team/other", "1.0")
    ending = place.push(LOGIN, sourceImages=["team/app", "team/other"])
    assert ending.code == 0, ending.err
    assert [sorted(scopes) for scopes in place.target.scopes] == [
        ["repository:team/app:pull,push", "repository:team/other:pull,push"]
    ]


def test_one_host_may_have_an_account_for_reading_and_another_for_writing(place: Place) -> None:
    """Facts (steps) section 4, weakness 8: the source's login must not take the place of the
    target's.
    """
    put(place.image, place.target, "team/app", "1.0")
    place.target.auth, place.staging = "bearer", place.target
    reader = {
        "sourceRegistryUser": "pusher",
        "sourceRegistryPassword": PASSWORD,
        "targetImages": {"team/app": "prod/app"},
    }
    ending = place.push(
        {"PIPER_targetRegistryUser": "other", "PIPER_targetRegistryPassword": "wrong-pass-word"},
        **reader,
    )
    assert ending.code == 4
    assert "target registry" in ending.message
    assert "'other'" in ending.message


def test_a_copy_ends_with_its_deadline_whatever_it_is_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "GRACE", 0.0)
    # a moment before the host that is late here would be named for it
    monkeypatch.setattr(registry_access, "_SECONDS_TO_NAME_THE_CAUSE", -9.9)
    free = threading.Event()

    def hold(_record: Record) -> None:
        free.wait()

    place.target.fault = hold
    ending = place.push(LOGIN, copyDeadline=10)
    free.set()
    assert (ending.code, ending.message) == (
        9,
        "the time limit of 10 seconds is exceeded",
    ), ending.err
    assert "copyDeadline" in ending.hint
    assert not place.pushed()
