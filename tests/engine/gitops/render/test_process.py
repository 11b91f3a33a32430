from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jinja2
import markupsafe
import pytest

from tests.engine.gitops.charts import fake_helm
from towline.errors import MachineError, RenderError, TowlineError
from towline.gitops.render.process import RenderLimits, render_document, run_renderer

ROOT = Path(__file__).resolve().parents[4]


def jinja(text: str, *, limits: RenderLimits | None = None, **variables: object) -> str:
    return render_document(
        "jinja",
        {"name": "t.j2", "text": text, "variables": variables},
        limits=limits or RenderLimits(),
    )


def program(folder: Path, body: str, *, limits: RenderLimits | None = None) -> bytes:
    return run_renderer(
        "program",
        {"name": "helm", "command": [fake_helm(folder, body)]},
        limits=limits or RenderLimits(),
    ).out


def test_the_document_comes_back_as_it_was_rendered() -> None:
    assert jinja("a: {{ x }}\r\n", x="ä\U0001f600") == "a: ä\U0001f600\r\n"


def test_a_fault_of_the_template_is_a_render_error_with_place_and_hint() -> None:
    with pytest.raises(RenderError, match="'tga' is undefined") as caught:
        jinja("\n{{ tga }}", tag="1.0")
    assert (caught.value.where, caught.value.hint) == ("t.j2:2", "did you mean 'tag'?")


def test_a_fault_without_a_place_names_the_template() -> None:
    with pytest.raises(RenderError, match="half of a surrogate pair") as caught:
        jinja("{{ '\\ud800' }}")
    assert caught.value.where == "t.j2"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
    ],
)
def test_an_endless_rendering_is_stopped_and_says_so(template: str) -> None:
    with pytest.raises(RenderError, match="took longer than 1 seconds") as caught:
        jinja(template, limits=RenderLimits(seconds=1))
    assert caught.value.where == "t.j2"


def test_a_rendering_that_sleeps_is_stopped_as_well(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="took longer than 1 seconds"):
        program(tmp_path, "import time; time.sleep(1000)", limits=RenderLimits(seconds=1))


def test_a_rendering_that_needs_too_much_memory_is_stopped_and_says_so() -> None:
    with pytest.raises(RenderError, match="more memory"):
        jinja("{{ ('x' * 2000000000) | length }}", limits=RenderLimits(memory=512 * 1024 * 1024))


def test_a_rendering_that_gives_too_much_is_stopped_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="larger than 1000 bytes"):
        jinja("{{ 'x' * 1001 }}", limits=RenderLimits(output=1000))
    with pytest.raises(RenderError, match="more than 1000 bytes"):
        program(tmp_path, "print('x' * 1001)", limits=RenderLimits(output=1000))
    with pytest.raises(RenderError, match="more than"):
        program(tmp_path, "while True: print('x' * 100000)")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.write(2, b'fatal error: runtime: out of memory'); os._exit(2)", "more memory"),
        ("os.write(2, b'fatal error: runtime: cannot allocate memory'); os.abort()", "more memory"),
        ("os.kill(os.getpid(), 9)", "more memory"),
        ("os.write(2, b'stack overflow'); os.kill(os.getpid(), 11)", "signal 11: stack overflow"),
        ("import signal; os.kill(os.getpid(), signal.SIGXCPU)", "took longer"),
    ],
)
def test_a_renderer_that_was_killed_says_by_what(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(RenderError, match=message) as caught:
        program(tmp_path, body)
    assert caught.value.where == "helm"


def test_a_renderer_s_own_exit_code_is_left_to_its_caller(tmp_path: Path) -> None:
    ended = run_renderer(
        "program",
        {"command": [fake_helm(tmp_path, "sys.exit('memory must be given')")]},
        limits=RenderLimits(),
    )
    assert (ended.code, ended.err) == (1, b"memory must be given\n")


def test_a_renderer_that_does_not_start_is_the_machine_s_fault() -> None:
    with pytest.raises(MachineError, match=r"the renderer stopped: .*nothing") as caught:
        render_document("nothing", {}, limits=RenderLimits())
    assert "install Towline again" in caught.value.hint


def test_a_program_that_is_not_there_is_the_machine_s_fault(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot start"):
        run_renderer("program", {"command": [str(tmp_path / "nothing")]}, limits=RenderLimits())


def test_a_renderer_sees_nothing_of_the_engine_s_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPER_password", "s3cret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = program(tmp_path, "print(sorted(set(os.environ) - {'LC_CTYPE'}))")
    assert seen == b"['LC_ALL', 'PATH']\n"


def test_nothing_of_the_workspace_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jinja2", "towline", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the workspace was imported')")
    monkeypatch.chdir(tmp_path)
    assert jinja("a: 1\n") == "a: 1\n"


def test_a_checkout_that_is_not_installed_renders_too(tmp_path: Path) -> None:
    """As in a zip file: the modules that `python -I` finds by itself are not enough.

    Here the only copy of the engine is on PYTHONPATH, its libraries beside it.
    """
    (tmp_path / "towline").symlink_to(ROOT / "engine" / "towline")
    for library in (jinja2, markupsafe):
        assert library.__file__
        (tmp_path / library.__name__).symlink_to(Path(library.__file__).parent)
    script = (
        "from towline.gitops.render.process import *; print(render_document('jinja', {'name': 't',"
        " 'text': 'a: 1', 'variables': {}}, limits=RenderLimits()))"
    )
    bare = os.path.realpath(sys.executable)
    ended = subprocess.run(
        [bare, "-S", "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (ended.stdout, ended.stderr) == ("a: 1\n", "")


def test_every_fault_is_one_of_the_engine_s_own() -> None:
    with pytest.raises(TowlineError):
        jinja("{{")
