from __future__ import annotations

from typing import Any

import pytest
import yaml

from towline.gitops.render.helm_library import ManifestFault, assemble


def load(text: str) -> Any:
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as fault:
        raise ValueError(str(fault)) from fault


def kinds(*texts: str) -> list[str]:
    printed = assemble(
        {f"app/templates/{number}.yaml": text for number, text in enumerate(texts)}, load
    )
    return [load(document)["kind"] for document in printed.split("---\n")[1:]]


def test_each_document_names_the_template_that_it_came_from() -> None:
    assert (
        assemble({"app/templates/a.yaml": "kind: Service\nname: a"}, load)
        == "---\n# Source: app/templates/a.yaml\nkind: Service\nname: a\n"
    )


def test_kinds_come_in_the_order_in_which_helm_installs_them() -> None:
    assert kinds(
        "kind: Ingress",
        "kind: Deployment",
        "kind: Service",
        "kind: ServiceAccount",
        "kind: Namespace",
    ) == [
        "Namespace",
        "ServiceAccount",
        "Service",
        "Deployment",
        "Ingress",
    ]


def test_unknown_kinds_come_last_by_name_and_equal_ones_by_path() -> None:
    printed = assemble(
        {"b": "kind: Zebra", "c": "kind: Rollout", "a": "kind: Rollout", "d": "kind: Job"}, load
    )
    assert [line for line in printed.splitlines() if line.startswith("#")] == [
        "# Source: d",
        "# Source: a",
        "# Source: c",
        "# Source: b",
    ]


def test_hooks_come_last_in_the_same_order() -> None:
    hook = "kind: {}\nmetadata:\n  annotations:\n    helm.sh/hook: {}\n"
    assert kinds(
        hook.format("Pod", "test"),
        hook.format("ConfigMap", "pre-install, Post-Install"),
        "kind: Widget",
    ) == ["Widget", "ConfigMap", "Pod"]


def test_an_unknown_hook_is_left_out_as_helm_does() -> None:
    assert kinds(
        "kind: Pod\nmetadata: {annotations: {helm.sh/hook: crd-install}}", "kind: Service"
    ) == ["Service"]


def test_a_kind_that_reads_as_a_number_or_a_boolean_is_a_text_as_for_helm() -> None:
    printed = assemble(
        {
            "a": "kind: 4",
            "b": "kind: true\nmetadata: {annotations: {x: 1, y: }}",
            "c": "kind: Service",
        },
        load,
    )
    assert [line for line in printed.splitlines() if line.startswith("#")] == [
        "# Source: c",
        "# Source: a",
        "# Source: b",
    ]


def test_notes_partials_and_empty_documents_are_left_out() -> None:
    files = {
        "app/templates/NOTES.txt": "Hello",
        "app/charts/sub/templates/NOTES.txt": "Hello",
        "app/templates/_helpers.tpl": "kind: No",
        "app/templates/empty.yaml": " \n\n",
        "app/templates/a.yaml": "---\nkind: Service\n---\n\n",
    }
    assert assemble(files, load) == "---\n# Source: app/templates/a.yaml\nkind: Service\n"


def test_nothing_rendered_is_nothing_printed() -> None:
    assert assemble({"app/templates/a.yaml": "\n"}, load) == ""


def test_a_document_of_comments_alone_stays() -> None:
    assert assemble({"a": "# for later\n"}, load) == "---\n# Source: a\n# for later\n"


def test_the_text_of_a_document_is_not_touched() -> None:
    body = 'kind: ConfigMap   # comment\ndata:\n    a:    "x"\n    b: |+\n      one\n\n'
    assert (
        assemble({"a": body, "b": "kind: Service"}, load)
        == f"---\n# Source: a\n{body}\n---\n# Source: b\nkind: Service\n"
    )


def test_a_separator_may_stand_on_the_line_of_what_follows() -> None:
    assert kinds("kind: Service\n---kind: Deployment\n") == ["Service", "Deployment"]


def test_the_same_files_in_another_order_give_the_same_text() -> None:
    files = {"a": "kind: Service", "b": "kind: Service", "c": "kind: Job"}
    assert assemble(files, load) == assemble(dict(reversed(files.items())), load)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: [", "expected the node content"),
        ("kind: [a]", "kind is not a text"),
        ("kind: Pod\nmetadata: text", "metadata is not a mapping"),
        ("kind: Pod\nmetadata: {annotations: [a]}", "metadata.annotations is not a mapping"),
        ("kind: Pod\nmetadata: {annotations: {x: [1]}}", "annotation x is not a text"),
        ("- a", "a document is not a mapping"),
    ],
)
def test_a_document_that_the_cluster_could_not_read_is_refused_with_its_template(
    text: str, problem: str
) -> None:
    with pytest.raises(ManifestFault, match=problem) as caught:
        assemble({"app/templates/a.yaml": text}, load)
    assert caught.value.path == "app/templates/a.yaml"
