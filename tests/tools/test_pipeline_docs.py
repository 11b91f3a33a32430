from __future__ import annotations

from tools.pipeline_docs import PAGE, page, tables
from towline.pipeline.definition import definition


def test_the_page_has_the_stages_and_steps_of_the_definition() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run .venv/bin/python -m tools.pipeline_docs"


def test_each_stage_and_step_is_on_the_page() -> None:
    made = tables()
    for stage in definition().stages:
        section = made.partition(f"### {stage.name}\n")[2].partition("\n### ")[0]
        assert section
        assert [step.name for step in stage.steps if f"| `{step.name}` |" not in section] == []
