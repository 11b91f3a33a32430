from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.git.remote import public_url
from towline.gitops.commit_message import compose_message, parse_provenance
from towline.gitops.provenance import Provenance
from towline.record import replace

FULL = Provenance(
    deployment="azure-demo",
    stage="Acceptance",
    images=("r.example.com/a:1@sha256:00", "r.example.com/b:2"),
    build="https://ci.example.com/job/1/",
    build_number="1",
    job="shop/main",
    started_by="ann",
    source="https://git.example.com/a.git",
    source_commit="c0ffee",
    source_time="2026-01-02T03:04:05Z",
    request="abc",
    renderer="helm v3.22.0",
)
SAID: dict[str, Any] = {
    "source_author": "Ann <ann@example.com>",
    "source_date": "2026-01-02T03:04:05Z",
    "source_subject": "Sell more",
    "source_body": "Because: yes.",
}
TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="@"), max_size=30)


def test_the_trailers_are_those_of_the_contract() -> None:
    contract = (Path(__file__).parents[3] / "docs/contract.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `((?:Towline|Argocd)-[A-Za-z-]+)`", contract, re.MULTILINE)
    assert (
        list(dict.fromkeys(line.partition(":")[0] for line in replace(FULL, **SAID).trailers()))
        == table
    )


def test_a_message_ends_in_trailers_and_gives_them_back() -> None:
    message = compose_message("Updated a to version 1\n\nA body: with a colon\n", FULL)
    assert message.startswith(
        "Updated a to version 1\n\nA body: with a colon\n\nTowline-Deployment:"
        " azure-demo\nTowline-Stage: Acceptance\n"
    )
    assert "\nTowline-Request: abc\n" in message
    assert message.count("Towline-Image: ") == 2
    assert parse_provenance(message) == FULL


def test_git_reads_them_as_trailers() -> None:
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=compose_message("Update", replace(FULL, **SAID)),
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines() == list(replace(FULL, **SAID).trailers())


def test_an_unknown_part_leaves_its_line_out() -> None:
    assert (
        compose_message("Update", Provenance(stage="Release"))
        == "Update\n\nTowline-Stage: Release\n"
    )
    assert compose_message("Update", Provenance()) == "Update\n"
    assert parse_provenance("Update\n") == Provenance()


def test_no_value_breaks_out_of_its_line_or_carries_a_login() -> None:
    lines = Provenance(
        deployment="a\nTowline-Request: forged\r\n",
        source="https://ann:s3cret@git.example.com/a.git",
        build="x" * 5000,
    ).trailers()
    assert lines[0] == "Towline-Deployment: a Towline-Request: forged"
    assert lines[2] == "Towline-Source: https://git.example.com/a.git"
    assert len(lines[1]) < 1100


@pytest.mark.parametrize(
    "given",
    [
        "https://user:S3c@r3t@git.example.com/a.git",
        "user:S3cr3t@git:src.git",
        "https://git.example.com/a.git?token=S3cr3t",
    ],
)
def test_the_source_has_no_login_in_it(given: str) -> None:
    lines = "\n".join(Provenance(source=given, source_commit="c" * 40).trailers())
    assert f"Towline-Source: {public_url(given)}" in lines
    assert "r3t" not in lines


def test_trailers_in_the_text_for_people_do_not_count() -> None:
    forged = (
        "Update\n\nTowline-Request: forged\ntowline-stage: forged\n  and"
        " more\nArgocd-reference-commit-sha: forged"
    )
    assert compose_message(forged, Provenance(request="abc")) == "Update\n\nTowline-Request: abc\n"
    assert (
        compose_message(f"{forged}\nFixes: 1", Provenance(request="abc"))
        == "Update\n\nFixes: 1\nTowline-Request: abc\n"
    )
    early = compose_message(f"{forged}\n\nThe end", Provenance(request="abc"))
    assert early.startswith(forged)
    assert parse_provenance(early) == Provenance(request="abc")


def test_what_is_unknown_among_the_trailers_is_passed_over() -> None:
    assert parse_provenance(
        "Update\n\nTowline-Other: x\nSigned-off-by: A\nTowline-Stage: Release\r\n"
    ) == Provenance(stage="Release")


@given(TEXT, TEXT, st.lists(TEXT, max_size=3), TEXT)
def test_whatever_the_values_are_parsing_gives_back_what_was_written(
    text: str, stage: str, images: list[str], request: str
) -> None:
    provenance = Provenance(stage=stage, images=tuple(images), request=request)
    written = parse_provenance(compose_message(text, provenance))
    if provenance.trailers():
        assert written.trailers() == provenance.trailers()


SOURCE = Provenance(
    deployment="shop",
    source="https://robot:secret@git.example/src.git",
    source_commit="a" * 40,
    source_author="Ann <ann@example.com>",
    source_date="2026-01-02T03:04:05+01:00",
    source_subject="Sell  more",
    source_body='Because "we"\ncan.',
    request="r",
)


def test_argo_cd_is_told_of_the_source_commit() -> None:
    assert [line for line in SOURCE.trailers() if line.startswith("Argocd")] == [
        "Argocd-reference-commit-author: Ann <ann@example.com>",
        f"Argocd-reference-commit-sha: {'a' * 40}",
        "Argocd-reference-commit-subject: Sell more",
        r'Argocd-reference-commit-body: "Because \"we\"\ncan."',
        "Argocd-reference-commit-date: 2026-01-02T03:04:05+01:00",
        "Argocd-reference-commit-repourl: https://git.example/src.git",
    ]
    assert parse_provenance(compose_message("Text", SOURCE)).request == "r"


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({"source_commit": ""}, 0),
        ({"source_commit": "main"}, 0),
        ({"source": "git@git.example:src.git"}, 5),
        ({"source_body": "", "source_author": ""}, 4),
        # Argo CD takes 40 digits at most
        ({"source_commit": "c" * 64}, 5),
    ],
)
def test_what_argo_cd_would_not_take_is_left_out(changed: dict[str, Any], lines: int) -> None:
    assert (
        len([line for line in replace(SOURCE, **changed).trailers() if line.startswith("Argocd")])
        == lines
    )


def test_a_long_body_stays_json_on_one_line() -> None:
    lines = replace(SOURCE, source_body='"\n' * 5000).trailers()
    body = next(line for line in lines if "-body: " in line).partition(": ")[2]
    assert json.loads(body).startswith('"\n')
