from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.engine.gitops.charts import chart, fake_helm
from tests.engine.gitops.helm.test_chart import applied, fault
from towline.errors import RenderError
from towline.gitops.helm.chart import ValuesFile
from towline.gitops.helm.renderer import HelmLibrary, HelmProgram, Rendering, choose_renderer
from towline.gitops.render.process import RenderLimits
from towline.record import replace


def test_a_program_is_taken_where_one_is_named() -> None:
    assert choose_renderer("/usr/bin/helm") == HelmProgram(program="/usr/bin/helm")
    assert choose_renderer(None) == HelmLibrary()


def test_the_program_is_called_with_files_only_and_a_home_of_its_own(tmp_path: Path) -> None:
    body = """
words = sys.argv[1:]
read = [open(words[at + 1]).read() for at, word in enumerate(words) if word == '--values']
chart = os.path.exists(words[2] + '/Chart.yaml')
print(json.dumps([words[:2], words[3:5], read, chart, os.environ['HOME'], os.getcwd()]))
"""
    text = applied(
        chart(),
        namespace="prod",
        values_files=(ValuesFile(name="v", content=b"a: 1\n"),),
        renderer=HelmProgram(program=fake_helm(tmp_path, body)),
    )
    call, namespace, values, there, home, folder = json.loads(text)
    assert (call, namespace, there) == (["template", "demo"], ["--namespace", "prod"], True)
    assert values == ["a: 1\n", '{"image": {"repository": "host/app", "tag": "1.0"}}']
    assert home == f"{folder}/home"


def test_the_program_s_words_become_the_error_with_the_repository_s_paths(tmp_path: Path) -> None:
    body = (
        "sys.exit('Error: failed to parse ' + sys.argv[sys.argv.index('--values') + 1] + ':"
        " oh\\n\\nUse --debug flag to render out invalid YAML')"
    )
    found = fault(
        chart(),
        values_files=(ValuesFile(name="env/prod.yaml", content=b""),),
        renderer=HelmProgram(program=fake_helm(tmp_path, body)),
    )
    assert (found.message, found.where) == ("failed to parse env/prod.yaml: oh", "chart/app")
    # the message of Helm 3
    body = (
        "sys.exit('Error: template: app/templates/bad.yaml:2:13: executing <.Values.a.b>: nil"
        " pointer')"
    )
    found = fault(chart(), renderer=HelmProgram(program=fake_helm(tmp_path, body)))
    assert found.where == "chart/app/templates/bad.yaml:2"


def test_a_program_that_says_nothing_is_named_by_its_code(tmp_path: Path) -> None:
    assert (
        fault(chart(), renderer=HelmProgram(program=fake_helm(tmp_path, "sys.exit(4)"))).message
        == "helm ended with code 4"
    )


def test_a_program_s_output_must_be_text(tmp_path: Path) -> None:
    found = fault(
        chart(), renderer=HelmProgram(program=fake_helm(tmp_path, "os.write(1, b'\\xff')"))
    )
    assert found.message == "the output of helm is not UTF-8"


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("print('v3.22.0+g1.2')", "helm v3.22.0+g1.2"),
        ("print('no version')", "helm"),
        ("sys.exit(1)", "helm"),
    ],
)
def test_a_program_says_its_version(tmp_path: Path, program: str, version: str) -> None:
    assert HelmProgram(program=fake_helm(tmp_path, program)).version() == version


def test_the_library_says_the_version_of_helm_in_it() -> None:
    assert re.fullmatch(r"helm v4\.\d+\.\d+ \(library\)", HelmLibrary().version())


def test_the_output_of_all_charts_counts_together(tmp_path: Path) -> None:
    program = HelmProgram(
        program=fake_helm(tmp_path, "print('a' * 999)"), limits=RenderLimits(output=2000)
    )
    rendering = Rendering(
        folder=tmp_path,
        charts=(tmp_path / "a", tmp_path / "b"),
        release="demo",
        namespace="prod",
        values=(),
    )
    assert len(program.render(rendering)) == 2000
    with pytest.raises(
        RenderError, match="the charts give more than 2000 bytes together"
    ) as caught:
        program.render(replace(rendering, charts=(*rendering.charts, tmp_path / "c")))
    assert caught.value.where == str(tmp_path / "c")
