"""The leak hunt: secrets in every source, each step with each failure, and every sink searched
afterwards.

To read and to extend: the sources (tests/leaks/sources.py), the steps (steps.py),
what may fail (failures.py), the sinks (sinks.py), how a secret may be written (forms.py). What
Jenkins itself records is in docs/security.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.fakes.images import make_image, put
from tests.fakes.ssh_server import missing
from tests.leaks.failures import FAILURES, OTHERS, SOME, Failure
from tests.leaks.forms import Hunter
from tests.leaks.given import STRANGER
from tests.leaks.inputs import SPOILT, Spoilt
from tests.leaks.planted import ELSEWHERE, HOST, ON_SERVERS, VARIABLE
from tests.leaks.processes import PROC
from tests.leaks.run import IN_MEMORY, Run
from tests.leaks.sinks import SINKS, heard, search
from tests.leaks.sources import Source, made, phrase
from tests.leaks.steps import BY_NAME, STEPS, Step
from tests.leaks.world import World
from towline.dispatch import COMMANDS
from towline.dispatch import STEPS as STEPS_OF_ENGINE

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("leaks")) as found:
        yield found


@pytest.fixture(scope="module")
def hunter(world: World) -> Hunter:
    return Hunter({source.name: source.secret for source in world.sources})


def said(run: Run) -> str:
    return run.err.decode("utf-8", "replace")[-3000:]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_success_leaks_nothing(world: World, hunter: Hunter, step: Step) -> None:
    run = world.perform(world.prepare(step))
    assert run.code == step.code, said(run)
    assert world.left_open(run) == []
    assert search(run, hunter) == []
    used = {
        (name, host) for name in step.uses for host in world.source(name).hosts & set(step.asks)
    }
    assert used - heard(run, hunter) == set()
    assert [name for name in step.asks if not run.heard[name]] == []


def test_every_step_and_every_command_is_in_the_table() -> None:
    assert {step.words[1] for step in STEPS if step.words[0] == "run"} == set(STEPS_OF_ENGINE)
    assert {step.words[0] for step in STEPS} == set(COMMANDS)


def test_every_failure_is_tried_each_time() -> None:
    assert {failure for failure, _, _ in SOME} == set(FAILURES)


# ---- failures

_TIMES = [pytest.param(*one, id=" ".join(map(str, one))) for one in SOME]
_MORE = [pytest.param(*one, id=" ".join(map(str, one)), marks=pytest.mark.extra) for one in OTHERS]


@pytest.mark.parametrize(("failure", "step", "tap"), [*_TIMES, *_MORE])
def test_a_failure_leaks_nothing(
    world: World, hunter: Hunter, failure: Failure, step: Step, tap: str
) -> None:
    run = world.prepare(step)
    failure.begin(world, run, world.taps[tap])
    world.perform(run)
    if failure.killed:
        run = world.perform(world.next_of(run))
    else:
        assert world.left_open(run, broken=tap) == []
    assert search(run, hunter) == []
    assert (run.code == 1) == failure.bug, said(run)


_WRONG = [
    pytest.param(one, id=str(one), marks=[pytest.mark.extra] * (number % 2))
    for number, one in enumerate(SPOILT)
]


@pytest.mark.parametrize("spoilt", _WRONG)
def test_an_input_that_is_wrong_is_not_repeated(
    world: World, hunter: Hunter, spoilt: Spoilt
) -> None:
    run = world.prepare(BY_NAME[spoilt.step])
    spoilt.spoil(world, run)
    world.perform(run)
    assert search(run, hunter) == []
    assert run.code != 1, said(run)


# ---- the proof that it would find one


def test_a_leak_on_purpose_is_found_in_each_place_and_in_no_other(
    world: World, hunter: Hunter
) -> None:
    run = world.prepare(BY_NAME["push"])
    sinks = [sink for sink in SINKS if sink != "process table" or PROC.is_dir()]
    planted = {sink: made(f"planted: {sink}", phrase()) for sink in sinks}
    elsewhere = IN_MEMORY / f"{run.folder.parent.name}-{run.folder.name}-hunted"
    secrets = {sink: source.value for sink, source in planted.items() if sink not in ON_SERVERS}
    run.environ[VARIABLE] = json.dumps(
        {**secrets, HOST: world.hosts[STRANGER], ELSEWHERE: str(elsewhere)}
    )
    run.made = tuple(planted.values())
    try:
        world.perform(run)
        assert run.code == 0, said(run)
        _plant_on_servers(world, run, planted)
        leaks = {(leak.sink, leak.secret) for leak in search(run, hunter)}
    finally:
        elsewhere.unlink(missing_ok=True)
    beside = (
        "files while it runs",
        planted["temporary folder"].name,
    )  # it was there already during the run
    assert leaks - {beside} == {(sink, source.name) for sink, source in planted.items()}


def _plant_on_servers(world: World, run: Run, planted: Mapping[str, Source]) -> None:
    name = str(run.repository.relative_to(world.git.folder)).removesuffix(".git")
    world.git.add(name, {"values.yaml": b"password: " + planted["git objects"].secret})
    put(make_image(files={"etc/login": planted["pushed images"].secret}), world.target, "shop", "2")
