from __future__ import annotations

import pytest

from towline.gitops.secret_values import Marks, shown

SECRET = """\
# above
---
apiVersion: v1
kind: Secret
metadata:
  name: s # note
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"data": {"pw": "old-pass"}}
    other: stays
type: Opaque
stringData:
  pw: "old-pass"
  empty: ""
  pem: |
    -----BEGIN KEY-----
    c2VjcmV0
data: {a: b2xk, b: b2xk}
---
kind: Deployment
metadata: {name: d}
data: {a: stays-too}
"""


def masked(text: str, marks: Marks | None = None) -> str:
    return shown({"f": text.encode()}, marks or Marks()).get("f", text.encode()).decode()


def test_the_values_of_a_secret_become_marks_and_nothing_else_changes() -> None:
    text = masked(SECRET)
    for part in ("old-pass", "c2VjcmV0", "b2xk"):
        assert part not in text
    assert 'stringData:\n  pw: "****2"\n  empty: ""\n  pem: "****3"\n' in text
    assert 'data: {a: "****1", b: "****1"}' in text
    head, tail = (
        SECRET.split("    kubectl", maxsplit=1)[0],
        SECRET[SECRET.index("---\nkind: Deployment") :],
    )
    assert text.startswith(head)
    assert text.endswith(tail)


def test_the_same_value_has_the_same_mark_in_both_files() -> None:
    marks = Marks()
    before, after = (
        masked(SECRET, marks),
        masked(SECRET.replace('pw: "old-pass"', 'pw: "new-pass"'), marks),
    )
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(changed) == 1
    assert changed[0].startswith('  pw: "****')


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\nstringData: {a: &x hidden, b: *x}\n",
        "kind: Secret\nstringData:\n  a: {{ hidden }}: x\n",
        "kind: Secret\nstringData: [hidden\n",
        '{"kind": "Secret", "stringData": {"a": "hidden"}}\n',
        "kind: List\nitems:\n- kind: Secret\n  data: {a: hidden}\n",
        "kind: SecretList\nitems: [{kind: Secret, data: {a: hidden}}]\n",
        "---\r\nkind: Secret\r\nstringData:\r\n  a: hidden\r\n",
        "'kind' : 'Secret'\ndata:\n  a: >-\n    hidden\n    more\n",
    ],
)
def test_a_secret_in_any_form_is_not_shown(text: str) -> None:
    assert "hidden" not in masked(text)
    assert masked(text) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "kind: ExternalSecret\ndata: {a: stays}\n",
        "kind: SecretProviderClass\ndata: {a: stays}\n",
        "kind: ConfigMap\ndata: {a: stays}\n",
        "resources: []\npatches:\n- target: {kind: Secret}\n  data: stays\n",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert shown({"f": text.encode()}, Marks()) == {}
