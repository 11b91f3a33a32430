from __future__ import annotations

import pytest

from towline.gitops.manifest_images import Pod, pods_in_file

CRON = b"""\
kind: CronJob
metadata: {name: night}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          serviceAccountName: puller
          initContainers: [{name: init, image: h/init:1}]
          containers: [{name: job, image: h/job:1}, {name: side}]
---
kind: Service
metadata: {name: s}
spec: {ports: []}
"""


def test_pods_are_found_in_any_kind_with_what_they_belong_to() -> None:
    assert pods_in_file(CRON) == (
        Pod(
            owner="CronJob night",
            images=(("init", "h/init:1"), ("job", "h/job:1"), ("side", "")),
            may_pull=True,
        ),
    )


def test_a_list_has_its_pods_each_under_its_own_name() -> None:
    data = (
        b"kind: List\nitems: [{kind: Pod, metadata: {name: a}, spec: {containers: []}}, {kind: Pod,"
        b" spec: {containers: [{name: x, image: i}]}}]\n"
    )
    assert [(pod.owner, pod.images) for pod in pods_in_file(data)] == [
        ("Pod a", ()),
        ("Pod", (("x", "i"),)),
    ]


@pytest.mark.parametrize(
    ("more", "may"),
    [
        ("", False),
        ("imagePullSecrets: [{name: s}]", True),
        ("imagePullSecrets: []", False),
        ("serviceAccountName: app", True),
        ("serviceAccount: app", True),
        ("serviceAccountName: default", False),
    ],
)
def test_a_pod_can_pull_by_a_secret_or_an_account_of_its_own(more: str, may: bool) -> None:
    assert [
        pod.may_pull
        for pod in pods_in_file(f"kind: Pod\nspec:\n  containers: []\n  {more}\n".encode())
    ] == [may]


@pytest.mark.parametrize(
    "data", [b"a: [", b"a: {{ .x }}\nb: {{ y }}: z", b"\xff", b"", b"text", b"a: !custom"]
)
def test_what_cannot_be_read_has_no_pods(data: bytes) -> None:
    assert pods_in_file(data) == ()


def test_what_aliases_multiply_is_looked_at_once() -> None:
    lines = ["a0: &a0 {kind: Pod, spec: {containers: [{name: x, image: y}]}}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    assert len(pods_in_file("\n".join(lines).encode())) == 1


@pytest.mark.parametrize("key", ["name", "image"])
def test_what_aliases_multiply_is_no_name(key: str) -> None:
    """Such a name would fill the memory as a text."""
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]" for n in range(40)]
    text = "\n".join(
        [*lines, f"pod: {{kind: Pod, spec: {{containers: [{{name: x, image: y, {key}: *a39}}]}}}}"]
    )
    assert pods_in_file(text.replace("name: x, " if key == "name" else "image: y, ", "").encode())[
        0
    ].images in [(("", "y"),), (("x", ""),)]
