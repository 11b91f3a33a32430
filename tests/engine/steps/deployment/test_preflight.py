from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import pytest

from towline.console import Console
from towline.errors import ConfigError
from towline.gitops.change import Change
from towline.gitops.kubectl import ContainerImage
from towline.gitops.notes import Notes
from towline.steps.deployment.preflight import Checks, LackingPod, TargetChange, lacking_lines

POD = b"kind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: app, image: old/app:1}]\n"
NEW = "reg.example.com:5000/app:2"


class Whole:
    """A Change that writes every file unchanged, as a rendering does."""

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        return listing

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return dict(files)


def watched(
    warn: Callable[[str], None],
    *,
    require: bool = False,
    host: str = "reg.example.com:5000",
    change: Change | None = None,
    find_images: Callable[[], None] | None = None,
) -> TargetChange:
    notes = Notes()
    image = ContainerImage(pattern="*.yaml", container="app", image=NEW, note=notes.replaced.append)
    checks = Checks(
        hosts=frozenset([host]),
        warn=warn,
        require_secret=require,
        find_images=find_images,
    )
    return TargetChange(change or image, checks, notes, Console(io.StringIO()))


def test_it_does_what_the_change_does_and_remembers_the_last_time() -> None:
    change = watched(print)
    assert list(change.wants(["a.yaml", "b.txt"])) == ["a.yaml"]
    for _ in range(2):
        assert change.apply({"a.yaml": POD}) == {"a.yaml": POD.replace(b"old/app:1", NEW.encode())}
    assert [(one.file, one.name, one.old, one.new) for one in change.applied.replaced] == [
        ("a.yaml", "app", "old/app:1", NEW)
    ]
    assert change.applied.holds("app:2")
    assert not change.applied.holds("old/app")
    assert not change.applied.holds("")


def test_pods_without_a_pull_secret_are_one_line_for_all_targets() -> None:
    changes = [watched(print), watched(print)]
    for change in changes:
        for _ in range(2):
            change.apply({"a.yaml": POD})
    changes[1].apply({"b.yaml": POD})
    (line,) = lacking_lines(pod for change in changes for pod in change.lacking_pods())
    assert line.startswith("Pod web in a.yaml, Pod web in b.yaml name neither")
    assert "the cluster needs the secret of reg.example.com:5000" in line
    assert (
        len(
            lacking_lines(
                [*changes[0].lacking_pods(), LackingPod(path="x", owner="", hosts=("other",))]
            )
        )
        == 2
    )


def test_nothing_is_said_of_what_stays_as_it_is() -> None:
    change = watched(print, require=True, host="old", change=Whole())
    change.apply({"a.yaml": POD})
    change = watched(print, host="old", change=Whole())
    change.apply({"a.yaml": POD})
    assert lacking_lines(change.lacking_pods()) == []


def test_a_check_that_fails_says_nothing_of_pull_secrets() -> None:
    def refuse() -> None:
        raise ConfigError("the image does not exist")

    change = watched(print, find_images=refuse)
    with pytest.raises(ConfigError, match="the image does not exist"):
        change.apply({"a.yaml": POD})
    assert change.lacking_pods() == []


def test_or_an_error_where_it_is_required() -> None:
    with pytest.raises(
        ConfigError, match="neither imagePullSecrets nor a service account"
    ) as caught:
        watched(print, require=True).apply({"a.yaml": POD})
    assert caught.value.where == "a.yaml"


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (POD + b"  imagePullSecrets: [{name: s}]\n", "reg.example.com:5000"),
        (POD, "other.example.com"),
        (POD, "reg.example.com"),
    ],
)
def test_a_pod_that_may_pull_or_runs_another_registrys_image_is_fine(
    data: bytes, host: str
) -> None:
    watched(print, require=True, host=host).apply({"a.yaml": data})
    change = watched(print, host=host)
    change.apply({"a.yaml": data})
    assert change.lacking_pods() == []


def test_it_is_looked_once_and_only_before_something_changes() -> None:
    looks: list[int] = []
    change = watched(print, find_images=cache(lambda: looks.append(1)))
    done = change.apply({"a.yaml": POD})
    assert looks == [1]
    change.apply({"a.yaml": POD})
    assert looks == [1]
    fresh = watched(print, find_images=lambda: looks.append(2))
    fresh.apply(done)
    assert looks == [1]


def test_many_pods_are_one_warning_that_names_the_first() -> None:
    change = watched(print)
    for _ in range(2):
        change.apply({f"{number:03}.yaml": POD for number in range(300)})
    (warning,) = lacking_lines(change.lacking_pods())
    assert warning.startswith(
        "Pod web in 000.yaml, Pod web in 001.yaml, Pod web in 002.yaml, Pod web in 003.yaml, Pod"
        " web in 004.yaml and 295 more name nei"
    )


def test_a_file_whose_mac_an_edit_breaks_is_a_warning_and_only_where_it_changes() -> None:
    log = io.StringIO()
    mac = b"sops:\n  mac: ENC[x]\n"
    change = watched(Console(log).warn, host="other")
    change.apply({"a.yaml": POD + mac, "b.yaml": POD})
    change.apply({"a.yaml": POD + mac, "b.yaml": POD})
    (said,) = log.getvalue().splitlines()
    assert said.startswith("warning: a.yaml is a file of SOPS, whose MAC covers plain values too")
    assert "mac_only_encrypted" in said
    log = io.StringIO()
    watched(Console(log).warn).apply({"a.yaml": POD.replace(b"old/app:1", NEW.encode()) + mac})
    assert log.getvalue() == ""
