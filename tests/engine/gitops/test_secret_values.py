from __future__ import annotations

import pytest

from towline.gitops.secret_values import Marks, mask_secrets

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
    return mask_secrets({"f": text.encode()}, marks or Marks()).get("f", text.encode()).decode()


def test_the_values_of_a_secret_become_marks_and_nothing_else_changes() -> None:
    text = masked(SECRET)
    for part in ("old-pass", "c2VjcmV0", "b2xk"):
        assert part not in text
    assert 'stringData:\n  pw: "****2"\n  empty: ""\n  pem: "****3"\n' in text
    assert 'data: {a: "****4", b: "****4"}' in text
    head, tail = (
        SECRET.split(" # note", maxsplit=1)[0],
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
        "kind: Secret\nstringData: {a: hidden, a: x}\n",
        "kind: Secret\nstringData: {a: hidden}\nstringData: {a: x}\n",
        "kind: Secret\ndata: {a: x}\nstringData:\n  a: {b: {c: [hidden]}}\n",
        "kind: Secret\nstringData:\n  ? {a: hidden}\n  : x\n",
        "kind: Secret\nStringdata: {a: hidden}\ntype: {a: hidden}\n",
        "kind: &s Secret\nstringData: {a: hidden}\n",
        "kind: !!str Secret\nstringData: {a: hidden}\n",
        "kind: !<tag:yaml.org,2002:str> Secret\ndata: {a: {{ x }}hidden}\n",
        'kind: "Secr\\u0065t"\ndata: {a: hidden}\n',
        '"k\\u0069nd": "Secr\\u0065t"\ndata: {a: hidden}\n',
        "? kind\n: Secret\ndata:\n  a: hidden\n",
        "kind: Secret\nstringData:\n  a: !!binary hidden\n  b: &x hidden\n",
        'kind: Secret\nstringData: {a: "****hidden"}\n',
        "kind: SecretList\nitems: [{data: {a: hidden}}]\n",
        "- kind: Secret\n  data: {a: hidden}\n",
        "metadata: {name: a}\nstringData: {a: hidden}\n",
        "kind: Secret\n# was: hidden\ndata: {a: x} # hidden\n",
        "kind: Secret\ndata: {a: x}# hidden\n",
        "kind: Secret\nmetadata: {annotations: {a: 'x # hidden'}} # hidden\ndata: {a: x}\n",
        "# kind: Secret\n# data: {a: hidden}\n---\nkind: ConfigMap\n",
        "kind: ConfigMap\n# kind: Secret\n# data: {a: hidden}\n",
        "kind: ConfigMap\n...\nkind: Secret\ndata: {a: hidden}\n",
        "kind: ConfigMap\rmetadata: {}\r---\rkind: Secret\rdata: {a: hidden}\r",
        "kind: ConfigMap\ndata:\n  a: |\n    kind: Secret\n    data: {a: hidden}\n",
        'kind: A\ndata: {a: "{\\"kind\\":\\"Secret\\",\\"data\\":{\\"a\\":\\"hidden\\"}}"}\n',
        'kind: ConfigMap\n"{kind: Secret, data: {a: hidden}}": x\n',
        "kind: Kustomization\nsecretGenerator: [{name: a, literals: [b=hidden]}]\n",
        "kind: SecretGenerator\nliterals: [b=hidden]\n",
        (
            "patches:\n- target: {kind: Secret}\n  patch: '[{op: add, path: /data/a, value:"
            " hidden}]'\n"
        ),
        "patches:\n- patch: |-\n    kind: Secret\n    data: {a: hidden}\n",
        "values:\n  extra:\n  - {kind: Secret, data: {a: hidden}}\n",
        "<<: {kind: Secret}\ndata: {a: hidden}\n",
        "a: &a {b: hidden}\nb: *a\nkind: Secret\n",
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
        "kind: HelmRelease # of a Secret\nspec: {valuesFrom: [{kind: Secret, name: stays}]}\n",
        "kind: Application\nspec: {ignoreDifferences: [{group: '', kind: Secret, name: stays}]}\n",
        "kind: Deployment\nspec: {a: [{secretKeyRef: {name: stays, key: stays}}]}\n",
        "kind: ConfigMap\ndata:\n  a: |\n    run \\\n      --it\n",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert mask_secrets({"f": text.encode()}, Marks()) == {}


def kustomization(target: str, patch: str, *, key: str = "patches") -> str:
    lines = "".join(f"    {line}\n" for line in patch.splitlines())
    return f"kind: Kustomization\n{key}:\n- target: {target}\n  patch: |-\n{lines}"


OPERATIONS = "- op: replace\n  path: /data/password\n  value: hidden"
MERGE = "kind: Any\nmetadata: {name: any}\ndata:\n  password: hidden"


@pytest.mark.parametrize(
    "patch", [OPERATIONS, MERGE, '[{"op": "add", "path": "/data/a", "value": "hidden"}]']
)
@pytest.mark.parametrize("key", ["patches", "patchesJson6902"])
@pytest.mark.parametrize(
    "target",
    [
        "{name: x}",
        "{version: v1, name: x}",
        "{labelSelector: a=b}",
        "{kind: Secret, name: x}",
        "{kind: '', name: x}",
        "{kind: 'Sec.*', name: x}",
        "{kind: ConfigMap|Secret}",
        "{kind: [Secret]}",
        "{kind: }",
    ],
)
def test_a_patch_whose_target_may_be_a_secret_is_not_shown(
    target: str, key: str, patch: str
) -> None:
    text = masked(kustomization(target, patch, key=key))
    assert "hidden" not in text
    assert f"target: {target}" in text


@pytest.mark.parametrize(
    "text",
    [
        "- op: replace\n  path: /data/password\n  value: hidden\n",
        "- op: add\n  path: /data\n  value: {password: hidden}\n",
        '[{"op": "test", "path": "/stringData/password", "value": "hidden"}]\n',
        '[{"op": "add", "path": "", "value": {"data": {"p": "hidden"}}}]\n',
        "# was hidden\n- {op: add, path: /data/p, value: x} # hidden\n",
        (
            "spec:\n  patchesJson6902:\n  - target: {name: x}\n    patch:\n    - {op: add, path:"
            " /data/p, value: hidden}\n"
        ),
        (
            "kind: PatchTransformer\ntarget: {name: x}\npatch: '[{op: add, path: /data/p, value:"
            " hidden}]'\n"
        ),
        (
            "kind: PatchJson6902Transformer\ntarget: {name: x}\njsonOp: |-\n  [{op: add, path:"
            " /data/p, value: hidden}]\n"
        ),
        (
            'transformers:\n- |-\n  kind: PatchTransformer\n  target: {name: x}\n  patch: \'[{"op":'
            ' "add", "path": "/data/p", "value": "hidden"}]\'\n'
        ),
        (
            "patchesStrategicMerge:\n- |-\n  metadata: {name: &k Secret}\n  kind: *k\n  data: {p:"
            " hidden}\n"
        ),
        (
            "patches:\n- patch: |-\n    metadata: {name: &k Secret}\n    kind: *k\n    data: {p:"
            " hidden}\n"
        ),
        "patchesStrategicMerge:\n- kind: Secret\n  data: {p: hidden}\n",
        (
            "x: &t {name: x}\npatches:\n- target: *t\n  patch: '[{op: add, path: /data/p, value:"
            " hidden}]'\n"
        ),
        (
            "x: &x {target: {name: x}}\npatches:\n- <<: *x\n  patch: '[{op: add, path: /data/p,"
            " value: hidden}]'\n"
        ),
        "patches:\n- target: {name: x} # hidden\n  patch: '[{op: add, path: /data/p, value: x}]'\n",
        (
            "patches:\n- target: {name: x}\n  patch:"
            ' \'[{"op":"add","path":"/d\\u0061ta/p","value":"hidden"}]\'\n'
        ),
    ],
)
def test_operations_on_data_and_patches_in_other_forms_are_not_shown(text: str) -> None:
    assert "hidden" not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        kustomization("{kind: Deployment, name: x}", "- {op: add, path: /spec/a, value: stays}"),
        kustomization("{name: x}", "- {op: add, path: /spec/a, value: stays}"),
        kustomization("{name: x}", "kind: Deployment\nspec: {replicas: 3}"),
        kustomization("{kind: Deployment|StatefulSet}", "- {op: add, path: /spec/a, value: stays}"),
        kustomization("{kind: ConfigMap, name: x}", OPERATIONS),
        kustomization("{kind: ConfigMap, name: x}", MERGE),
        (
            "patches:\n- target: {kind: ConfigMap}\n  patch:\n  - {op: add, path: /data/a, value:"
            " stays}\n"
        ),
        "patchesStrategicMerge:\n- |-\n  kind: ConfigMap\n  data: {a: stays}\n",
        (
            "kind: HorizontalPodAutoscaler\nspec:\n  metrics:\n  - resource: {name: cpu, target:"
            " {type: Utilization}}\n"
        ),
        "spec: {a: &a {mountPath: /data}, b: *a}\n",
        "- {op: add, path: /spec/template/metadata, value: stays}\n",
    ],
)
def test_a_patch_of_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert mask_secrets({"f": text.encode()}, Marks()) == {}


def test_a_document_beside_an_unreadable_secret_stays_and_a_binary_file_is_hidden() -> None:
    rest = "kind: Deployment\nspec: {image: 'a:1'}\n"
    text = masked(f"{rest}---\nkind: Secret\ndata: [hidden\n---\n{rest}")
    assert text.startswith(rest)
    assert text.endswith(f"---\n{rest}")
    wide = "kind: Secret\ndata: {a: hidden}\n".encode("utf-16")
    assert b"h\0i\0d" not in mask_secrets({"f": wide}, Marks())["f"]


def test_of_a_chart_rendered_the_template_is_named_and_a_text_of_a_list_only_is_hidden() -> None:
    head = "---\n# Source: app/templates/s.yaml\nkind: Secret\nmetadata: {name: s}\n"
    assert masked(f"{head}data: {{a: hidden}}\n") == f'{head}data: {{a: "****1"}}\n'
    generator = "images: [{name: app, newTag: '1'}]\nsecretGenerator: [{name: a, literals: [%s]}]\n"
    assert masked(generator % "b=hidden") == generator % '"****1"'


def test_a_secret_with_very_many_values_is_hidden_whole() -> None:
    many = "".join(f"  k{number}: hidden{number}\n" for number in range(400))
    assert masked(f"kind: Secret\ndata:\n{many}").startswith("---\n# a Secret that cannot be shown")
