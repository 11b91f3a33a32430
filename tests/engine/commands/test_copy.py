from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending
from tests.fakes import archives
from tests.fakes.authority import Authority
from tests.fakes.images import ImageParts, make_image, make_index, missing, put, refer_to
from tests.fakes.registry import FakeRegistry
from towline.commands.copy import PARAMETERS
from towline.config.metadata import load_schema

SECRET = "target-pass-word"


class Desk:
    """A person's folder between two registries, the target with a login."""

    def __init__(self, folder: Path, source: FakeRegistry, target: FakeRegistry) -> None:
        self.folder, self.source, self.target = folder, source, target
        self.image = make_index()
        put(self.image, source, "app", "1")

    def copy(self, *words: str, environ: dict[str, str] | None = None) -> Ending:
        login = {"PIPER_targetRegistryPassword": SECRET} if environ is None else environ
        return Ending(["copy", *words, "--targetRegistryUser", "pusher"], self.folder, login)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    with (
        FakeRegistry(referrers=True) as source,
        FakeRegistry(username="pusher", password=SECRET) as target,
    ):
        yield Desk(tmp_path, source, target)


@pytest.mark.parametrize("prefix", ["docker://", ""])
def test_an_image_goes_from_registry_to_registry(desk: Desk, prefix: str) -> None:
    ending = desk.copy(
        f"{prefix}{desk.source.host}/app:1", f"{prefix}{desk.target.host}/team/app:2"
    )
    assert ending.code == 0, ending.err
    assert missing(desk.image, desk.target, "team/app") == ()
    assert desk.target.storage["team/app"].tags == {"2": desk.image.digest}
    assert ending.out.startswith(
        f"{desk.target.host}/team/app:2: {desk.image.digest} (linux/amd64, linux/arm64): "
    )
    assert ending.result["outputs"]["requests"] == len(desk.source.requests) + len(
        desk.target.requests
    )


def test_the_second_time_nothing_moves(desk: Desk) -> None:
    places = [f"{desk.source.host}/app:1", f"{desk.target.host}/app:1"]
    assert [desk.copy(*places).result["status"] for _ in range(2)] == ["success", "unchanged"]


def test_several_targets_are_one_copy(desk: Desk) -> None:
    desk.copy(
        f"{desk.source.host}/app:1",
        f"{desk.target.host}/a:1",
        f"{desk.target.host}/a:latest",
        f"{desk.target.host}/b:1",
    )
    assert desk.target.storage["a"].tags == dict.fromkeys(("1", "latest"), desk.image.digest)
    assert desk.target.storage["b"].tags == {"1": desk.image.digest}
    assert desk.source.count("GET", "blobs") == len(desk.image.all_blobs())


def layout(folder: Path, image: ImageParts) -> None:
    """An OCI image layout in a folder (image-spec 1.1)."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in {image.digest: image.manifest, **image.all_blobs()}.items():
        (blobs / digest.partition(":")[2]).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def test_an_image_goes_from_a_folder_to_a_registry(desk: Desk) -> None:
    image = make_image(seed=5)
    layout(desk.folder / "build" / "image", image)
    ending = desk.copy("oci:build/image", f"{desk.target.host}/app:1")
    assert ending.code == 0, ending.err
    assert missing(image, desk.target, "app") == ()


def test_certificates_are_taken_from_where_the_caller_keeps_them(desk: Desk) -> None:
    """`copy` has no project, so no pull request can change a file that it reads."""
    authority = Authority(desk.folder / "certificates")
    mine = authority.issue("me")
    desk.target.stop()
    desk.target.tls = authority.issue("registry").server(clients=authority.certificate)
    desk.target.start()
    words = [
        f"{desk.source.host}/app:1",
        f"{desk.target.url}/app:1",
        "--customTlsCertificateLinks",
        "certificates/tests-ca.pem",
    ]
    certificate, key = (f"{desk.target.host}=certificates/me.{end}" for end in ("pem", "key"))
    ending = desk.copy(*words, "--clientCertificates", certificate, "--clientKeys", key)
    assert (ending.code, desk.target.storage["app"].tags) == (
        0,
        {"1": desk.image.digest},
    ), ending.err
    assert (
        desk.copy(
            *words,
            "--clientCertificates",
            f"{desk.target.host}={mine.certificate}",
            "--clientKeys",
            f"{desk.target.host}={mine.key}",
        ).code
        == 0
    )
    lacking = desk.copy(*words[:-1], "certificates/none.pem")
    assert (lacking.code, lacking.where, "cannot be read" in lacking.message) == (
        3,
        "--customTlsCertificateLinks",
        True,
    )


@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_a_layout_that_is_one_image_of_several_platforms_goes_over_whole_or_by_one(
    desk: Desk, kind: str
) -> None:
    files = archives.layout([("", desk.image)])
    files |= {"index.json": desk.image.manifest}
    archives.write(desk.folder / "image", files)
    (desk.folder / "image.tar").write_bytes(archives.tar_of(files))
    place = f"oci:{desk.folder}/image" if kind == "oci" else f"oci-archive:{desk.folder}/image.tar"
    assert desk.copy(place, f"{desk.target.host}/all:1").code == 0
    assert missing(desk.image, desk.target, "all") == ()
    ending = desk.copy(place, f"{desk.target.host}/one:1", "--targetArchitecture", "linux/arm64")
    assert (ending.code, desk.target.storage["one"].tags) == (
        0,
        {"1": desk.image.children[1].digest},
    ), ending.err


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_logins_whose_key_has_a_path_are_used_on_both_sides(desk: Desk, auth: str) -> None:
    put(desk.image, desk.target, "team/app", "1")
    desk.target.auth, desk.target.owners = auth, {"shop": ("seller", "other-pass-word")}
    entries = {"team": ("pusher", SECRET), "shop/web": ("seller", "other-pass-word")}
    auths = {
        f"{desk.target.host}/{path}": {"username": user, "password": password}
        for path, (user, password) in entries.items()
    }
    host = desk.target.host
    environ = {"PIPER_dockerConfigJSON": json.dumps({"auths": auths})}
    ending = Ending(
        ["copy", f"{host}/team/app:1", f"{host}/team/new:1", f"{host}/shop/web:1"],
        desk.folder,
        environ,
    )
    assert ending.code == 0, ending.err
    assert (
        desk.target.storage["team/new"].tags
        == desk.target.storage["shop/web"].tags
        == {"1": desk.image.digest}
    )


def test_a_password_may_come_by_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    ending = desk.copy(
        f"{desk.source.host}/app:1",
        f"{desk.target.host}/app:1",
        "--password-stdin",
        "target",
        environ={},
    )
    assert ending.code == 0, ending.err
    assert SECRET not in ending.err + ending.out + json.dumps(ending.result)


def test_standard_input_without_a_password_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ending = desk.copy(
        f"{desk.source.host}/app:1",
        f"{desk.target.host}/app:1",
        "--password-stdin",
        "target",
        environ={},
    )
    assert (ending.code, "standard input has no password" in ending.message) == (2, True)


def test_there_is_no_flag_for_a_password(desk: Desk) -> None:
    ending = desk.copy(
        f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", "--targetRegistryPassword", SECRET
    )
    assert (ending.code, ending.message) == (2, "unknown flag --targetRegistryPassword")


def test_platform_referrers_and_verify_are_the_steps_own_flags(desk: Desk) -> None:
    sbom = refer_to(desk.image.children[1])
    put(sbom, desk.source, "app")
    words = ["--targetArchitecture", "linux/arm64", "--copyReferrers", "true", "--verify", "true"]
    ending = desk.copy(f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", *words)
    assert ending.code == 0, ending.err
    assert desk.target.storage["app"].tags["1"] == desk.image.children[1].digest
    assert sbom.digest in desk.target.storage["app"].manifests
    assert desk.target.count("HEAD", "blobs") > 0


def test_several_platforms_are_named_with_commas(desk: Desk) -> None:
    words = [
        f"{desk.source.host}/app:1",
        f"{desk.target.host}/app:1",
        "--targetArchitecture",
        "linux/arm64, linux/amd64",
        "--verify",
        "true",
    ]
    ending = desk.copy(*words)
    assert f"(linux/arm64, linux/amd64), chosen from {desk.image.digest}: " in ending.out, (
        ending.err
    )
    assert desk.copy(*words).result["status"] == "unchanged"
    refused = desk.copy(*words[:3], "linux/amd64,")
    assert (refused.code, refused.where) == (3, "--targetArchitecture")


def test_a_dry_run_prints_the_plan_and_changes_nothing(desk: Desk) -> None:
    ending = desk.copy(
        f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", "--dry-run", "--json"
    )
    assert desk.target.storage == {}
    assert json.loads(ending.out)["outputs"]["plan"] == ending.result["outputs"]["plan"] != []
    told = desk.copy(f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", "--dry-run")
    assert told.out.startswith("dry run: ")
    assert " blobs to copy, 0 to mount, 0 to skip)" in told.out
    assert told.out.strip() == told.result["summary"]


@pytest.mark.parametrize(
    ("source", "target", "code", "words"),
    [
        ("oci:nowhere", "r.example.com/app:1", 3, "there is no OCI layout"),
        ("r.example.com/app:1", "oci:folder", 3, "images are copied to registries only"),
        ("app:1", "r.example.com/app:1", 3, "is not the location"),
        ("docker://", "r.example.com/app:1", 3, "names no registry"),
    ],
)
def test_what_is_no_place_says_what_one_is(
    desk: Desk, *, source: str, target: str, code: int, words: str
) -> None:
    ending = desk.copy(source, target)
    assert (ending.code, words in ending.message, bool(ending.hint)) == (
        code,
        True,
        True,
    ), ending.message


def test_a_person_without_a_build_is_told_what_a_person_can_do(desk: Desk) -> None:
    put(desk.image, desk.source, "app", "1.2.3")
    target = f"{desk.target.host}/app:1"
    typo = desk.copy(f"{desk.source.host}/app:1.2.4", target)
    assert typo.hint == "check its name and tag; did you mean '1.2.3'?"
    unread = desk.copy(target, target)  # the login is the target's, not the source's
    assert unread.hint.startswith(
        "give --sourceRegistryUser, and its password by --password-stdin source or"
        " PIPER_sourceRegistryPassword; "
    )
    gone = desk.copy("http://127.0.0.1:1/app:1", target, "--copyDeadline", "1")
    assert gone.hint == "check the registry's URL and the network, then run it again"
    words = (typo.hint, unread.hint, gone.hint)
    assert not any(word in hint for word in ("Build", "step", "staging", "page") for hint in words)


def test_a_password_from_standard_input_is_said_to_be_from_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("guess-me-not\n"))
    ending = desk.copy(
        f"{desk.source.host}/app:1",
        f"{desk.target.host}/app:1",
        "--password-stdin",
        "target",
        environ={},
    )
    assert ending.code == 4
    assert "(from --targetRegistryUser and standard input)" in ending.message
    assert "standard input" in ending.hint
    assert "PIPER_" not in ending.message + ending.hint


@pytest.mark.parametrize(
    ("flag", "called"),
    [
        ("--sourceRegistryUser me", "--sourceRegistryUser"),
        ("--password-stdin source", "--password-stdin source"),
    ],
)
def test_a_login_for_a_source_that_has_none_is_refused(
    desk: Desk, flag: str, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("some-secret\n"))
    layout(desk.folder / "image", make_image())
    ending = desk.copy("oci:image", f"{desk.target.host}/app:1", *flag.split())
    assert (ending.code, ending.message) == (
        2,
        f"{called} is for a source in a registry, and oci:image is not",
    )


def test_a_target_without_a_tag_gets_latest_and_the_line_says_so(desk: Desk) -> None:
    ending = desk.copy(f"{desk.source.host}/app:1", f"{desk.target.host}/new")
    assert ending.out.startswith(f"{desk.target.host}/new:latest: ")
    assert desk.target.storage["new"].tags == {"latest": desk.image.digest}
    assert ending.result["outputs"]["images"][0]["tags"] == ["latest"]


def test_a_description_leaves_the_default_to_help() -> None:
    assert not any(f"({default})" in text for _, text, default in PARAMETERS.values())


def test_half_a_login_says_how_a_person_gives_the_other_half(desk: Desk) -> None:
    passwords = {f"PIPER_{side}RegistryPassword": SECRET for side in ("source", "target")}
    ending = desk.copy(f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", environ=passwords)
    assert (ending.code, ending.hint) == (
        4,
        "give --sourceRegistryUser, or set PIPER_sourceRegistryUser",
    )


@pytest.mark.parametrize(
    ("source", "target", "where"),
    [
        ("r.example/Team/Shop:1", "r.example/a:1", "SOURCE"),
        ("r.example/a:1", "r.example/Team/Shop:1", "TARGET"),
    ],
)
def test_what_is_no_image_says_which_word_it_is(
    desk: Desk, source: str, target: str, where: str
) -> None:
    ending = desk.copy(source, target)
    assert (ending.code, ending.where, ending.message) == (
        3,
        where,
        "'Team/Shop:1' is not an image name",
    )


def test_a_missing_image_and_a_wrong_password_have_their_exit_codes(desk: Desk) -> None:
    assert desk.copy(f"{desk.source.host}/app:none", f"{desk.target.host}/app:1").code == 5
    assert (
        desk.copy(
            f"{desk.source.host}/app:1",
            f"{desk.target.host}/app:1",
            environ={"PIPER_targetRegistryPassword": "guess-me-not"},
        ).code
        == 4
    )


def test_a_change_request_publishes_with_no_login_unless_the_agent_lets_it(desk: Desk) -> None:
    places = [f"{desk.source.host}/app:1", f"{desk.target.host}/app:1"]
    environ = {
        "PIPER_targetRegistryPassword": SECRET,
        "CHANGE_ID": "7",
        "PIPER_credentialHosts": desk.target.host,
    }
    ending = desk.copy(*places, environ=environ)
    assert (ending.code, "app" in desk.target.storage, len(desk.target.requests)) == (4, False, 0)
    assert "CHANGE_ID" in ending.message and "PIPER_allowChangeRequest=true" in ending.hint
    assert desk.copy(*places, "--dry-run", environ=environ).code == 0
    assert (
        Ending(["copy", places[0], f"{desk.source.host}/b:1"], desk.folder, {"CHANGE_ID": "7"}).code
        == 0
    )
    assert desk.copy(*places, environ={**environ, "PIPER_allowChangeRequest": "true"}).code == 0
    assert desk.target.storage["app"].tags == {"1": desk.image.digest}


def test_the_project_around_it_does_not_matter(desk: Desk) -> None:
    (desk.folder / ".pipeline").mkdir()
    (desk.folder / ".pipeline" / "config.yml").write_text("steps: [")
    assert desk.copy(f"{desk.source.host}/app:1", f"{desk.target.host}/app:1").code == 0


def test_the_parameters_are_those_of_the_step() -> None:
    known = {
        parameter.name: parameter for parameter in load_schema("imagePushToRegistry").parameters
    }
    for name, (kind, description, default) in PARAMETERS.items():
        assert (known[name].type, known[name].default) == (kind, default), name
        assert known[name].description.startswith(description.removesuffix(".")), name
        assert known[name].secret == name.endswith("Password")
    needed = {
        "sourceRegistryUser",
        "targetRegistryPassword",
        "customTlsCertificateLinks",
        "clientKeys",
        "insecureRegistries",
        "credentialHosts",
    }
    assert needed <= PARAMETERS.keys()


def test_variables_stand_below_flags_and_every_fault_is_told(desk: Desk) -> None:
    environ = {
        "PIPER_targetRegistryPassword": SECRET,
        "PIPER_copyDeadline": "0",
        "PIPER_verify": "maybe",
    }
    ending = desk.copy(f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", environ=environ)
    assert ending.code == 3
    assert "PIPER_copyDeadline: copyDeadline is 0, expected at least 1" in ending.message
    assert 'PIPER_verify: verify is "maybe"' in ending.message
    words = ["--copyDeadline", "60", "--verify", "true"]
    assert (
        desk.copy(
            f"{desk.source.host}/app:1", f"{desk.target.host}/app:1", *words, environ=environ
        ).code
        == 0
    )


def test_a_copy_loads_no_configuration(desk: Desk) -> None:
    program = (
        "import sys; from towline.cli import main; main(['copy', *sys.argv[1:]], environ={},"
        " out=sys.stderr, err=sys.stderr); print(*sys.modules)"
    )
    words = [f"{desk.source.host}/app:1", f"{desk.source.host}/b:1"]
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert "towline.registry.copy.images" in loaded
    assert not loaded & {
        "yaml",
        "towline.config.documents",
        "towline.registry.local.docker_archive",
        "docker",
        "towline.config.metadata",
    }
    assert desk.source.storage["b"].tags == {"1": desk.image.digest}


def test_what_refers_to_an_image_in_a_layout_travels_with_it(desk: Desk) -> None:
    sbom = refer_to(desk.image)
    files = archives.layout([("1", desk.image), ("", sbom)])
    archives.write(desk.folder / "image", files)
    assert desk.copy("oci:image", f"{desk.target.host}/app:1", "--copyReferrers=false").code == 0
    assert missing(sbom, desk.target, "app") != ()
    ending = desk.copy("oci:image", f"{desk.target.host}/app:2", "--verify")
    assert (
        ending.code,
        ending.err,
        missing(desk.image, desk.target, "app"),
        missing(sbom, desk.target, "app"),
    ) == (0, "", (), ())
    (desk.folder / "image" / "blobs" / sbom.digest.replace(":", "/")).unlink()
    ending = desk.copy("oci:image:1", f"{desk.target.host}/b:3")
    assert (ending.code, desk.target.storage["b"].tags["3"]) == (0, desk.image.digest)
    assert f"{sbom.digest} is not copied: the OCI layout image lacks the manifest" in ending.err
    ending = desk.copy("oci:image:1", f"{desk.target.host}/c:4", "--copyReferrers")
    assert (ending.code, "c" in desk.target.storage and desk.target.storage["c"].tags) == (3, False)
