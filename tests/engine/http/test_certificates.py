from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.errors import ConfigError, MachineError
from towline.http.certificates import ca_bundle, plain_http_links, read_certificates

WHERE = "PIPER_customTlsCertificateLinks"
BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


class Shelf(LoopbackServer):
    """Serves `content`, or 404 if it has none."""

    content = b""

    def answer(self, request: Request) -> Answer:
        return Answer(status=200 if self.content else 404, body=self.content)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    folder = tmp_path_factory.mktemp("agent")
    return Authority(folder, "one"), Authority(folder, "two")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as running:
        yield running


def subjects(pem: str) -> list[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    return [
        re.findall(r"'commonName', '([^']*)'", repr(found["subject"]))[0]
        for found in context.get_ca_certs()
    ]


def refused(link: str, folder: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_certificates([link], folder=folder, where=WHERE, environ={})
    assert caught.value.where == WHERE
    assert caught.value.hint
    return caught.value


def test_a_path_and_a_url_give_their_certificates_in_order(
    authorities: tuple[Authority, Authority], workspace: Path, shelf: Shelf
) -> None:
    one, two = authorities
    shelf.content = two.certificate.read_bytes()
    pem = read_certificates(
        [str(one.certificate), f"{shelf.url}/ca.crt"], folder=workspace, where=WHERE, environ={}
    )
    assert pem == one.certificate.read_text() + two.certificate.read_text()
    assert subjects(pem) == ["one authority", "two authority"]


def test_a_file_may_hold_several_and_what_stands_between_them_is_left_out(
    authorities: tuple[Authority, Authority], workspace: Path, tmp_path: Path
) -> None:
    pair = tmp_path / "pair.pem"
    pair.write_bytes(
        b"\xef\xbb\xbf# roots of \xfc\r\n"
        + b"# next\n".join(authority.certificate.read_bytes() for authority in authorities)
    )
    pem = read_certificates([str(pair)], folder=workspace, where=WHERE, environ={})
    assert subjects(pem) == ["one authority", "two authority"]
    assert "#" not in pem


def test_a_file_that_ends_without_a_line_end_does_not_run_into_the_next(
    authorities: tuple[Authority, Authority], workspace: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.pem"
    bare.write_bytes(authorities[0].certificate.read_bytes().rstrip())
    assert (
        len(
            subjects(
                read_certificates(
                    [str(bare), str(authorities[1].certificate)],
                    folder=workspace,
                    where=WHERE,
                    environ={},
                )
            )
        )
        == 2
    )


@pytest.mark.parametrize(
    "content", [b"nothing", BROKEN, b"-----BEGIN CERTIFICATE-----", b"\x30\x82\xff"]
)
def test_what_holds_no_certificate_is_an_error_that_names_it(
    shelf: Shelf, workspace: Path, tmp_path: Path, content: bytes
) -> None:
    shelf.content = content
    path = tmp_path / "x.crt"
    path.write_bytes(content)
    for link in (f"{shelf.url}/x.crt", str(path)):
        fault = refused(link, workspace)
        assert link in fault.message
        assert "PEM" in fault.hint


def test_one_bad_certificate_among_good_ones_is_an_error(
    authorities: tuple[Authority, Authority], workspace: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.pem"
    path.write_bytes(authorities[0].certificate.read_bytes() + BROKEN)
    assert str(path) in refused(str(path), workspace).message


def test_what_is_too_large_is_not_read(shelf: Shelf, workspace: Path) -> None:
    shelf.content = b"x" * (1024 * 1024 + 1)
    assert "larger than 1048576 bytes" in refused(f"{shelf.url}/x", workspace).message
    assert "larger than 1048576 bytes" in refused("/dev/zero", workspace).message


def test_a_link_that_fails_is_an_error_and_none_is_left_out(
    authorities: tuple[Authority, Authority], shelf: Shelf, workspace: Path
) -> None:
    links = [str(authorities[0].certificate), f"{shelf.url}/gone.crt?sig=hunter2"]
    with pytest.raises(ConfigError, match=r"/gone\.crt answers 404") as caught:
        read_certificates(links, folder=workspace, where=WHERE, environ={})
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_path_that_is_not_there_is_an_error(workspace: Path, tmp_path: Path) -> None:
    assert "no such file" in refused(str(tmp_path / "gone.pem"), workspace).message


@pytest.mark.parametrize("way", ["in", "relative", "through a link", "a link to it", "up and down"])
def test_a_file_that_a_pull_request_can_change_is_no_authority(
    authorities: tuple[Authority, Authority], workspace: Path, tmp_path: Path, way: str
) -> None:
    inside = workspace / "ca.pem"
    inside.write_bytes(authorities[0].certificate.read_bytes())
    (workspace / "out").symlink_to(authorities[0].certificate.parent)
    (tmp_path / "link.pem").symlink_to(inside)
    link = {
        "in": str(inside),
        "relative": "ca.pem",
        "through a link": f"out/{authorities[0].certificate.name}",
        "a link to it": str(tmp_path / "link.pem"),
        "up and down": f"{tmp_path}/other/../workspace/ca.pem",
    }[way]
    fault = refused(link, workspace)
    assert "pull request" in fault.message
    assert "on the agent" in fault.hint


def test_a_path_with_a_null_byte_is_refused(workspace: Path) -> None:
    refused("/etc/\0x", workspace)


def test_links_over_plain_http_are_named_without_what_is_secret_in_them() -> None:
    assert plain_http_links(["https://a/x", "/etc/x", "HTTP://u:p@b/y?token=t"]) == ("http://b/y",)


def test_a_bundle_holds_the_machines_own_and_ours(
    authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(authorities[0].certificate.read_bytes().rstrip())
    made = ca_bundle(authorities[1].certificate.read_text(), {"SSL_CERT_FILE": str(own)})
    assert subjects(made.decode()) == ["one authority", "two authority"]
    assert ca_bundle("", {}) != made


def test_a_machine_without_certificates_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    with pytest.raises(MachineError, match="certificates"):
        ca_bundle("", {})


def test_a_folder_that_is_no_workspace_may_hold_them(
    authorities: tuple[Authority, Authority], workspace: Path
) -> None:
    (workspace / "ca.pem").write_bytes(authorities[0].certificate.read_bytes())
    assert (
        len(
            subjects(
                read_certificates(
                    ["ca.pem"], folder=workspace, where=WHERE, environ={}, guarded=False
                )
            )
        )
        == 1
    )
    for link in ("none.pem", "nu\0ll"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_certificates([link], folder=workspace, where=WHERE, environ={}, guarded=False)
