from __future__ import annotations

import pytest

from towline.config.documents import Documents, parse_document
from towline.config.layers import agent_layer
from towline.config.pipeline_keys import PIPELINE
from towline.errors import ConfigError
from towline.pipeline.productive import Rules, productive_branch, productive_tag

PROJECT = "general: {productiveBranch: trunk, productiveTags: [w*]}"


def rules(project: str = PROJECT, team: str = "", **variables: str) -> Rules:
    documents = Documents(defaults=(parse_document(team, "team.yml", trusted=True),), project=parse_document(project, "config.yml", trusted=False))
    return Rules(documents=documents, agent=agent_layer(PIPELINE, variables))


@pytest.mark.parametrize(("given", "branches"), [
    (rules(""), {"main", "master"}),
    (rules(), {"trunk"}),
    (rules(PIPER_productiveBranch="prod"), {"prod"}),
    (rules(PIPER_productiveBranch="ma*"), {"main", "master"}),
    (rules(PIPER_productiveBranch=""), {"trunk"}),
    (rules("", "general: {productiveBranch: prod}"), {"prod"}),
])
def test_the_agent_s_word_on_branches_stands_over_the_documents(given: Rules, branches: set[str]) -> None:
    assert {branch for branch in ("main", "master", "trunk", "prod") if productive_branch(given, branch)} == branches


@pytest.mark.parametrize(("given", "tags"), [
    (rules(), set()),  # whoever may push a tag could deploy
    (rules(PIPER_productiveTags="v*"), {"v1", "v2"}),
    (rules(PIPER_productiveTags='["v1", "w*"]'), {"v1", "w1"}),
    (rules("", "general: {productiveTags: [v1]}"), {"v1"}),
    (rules(PROJECT, "general: {productiveTags: [v1]}", PIPER_productiveTags="v2"), {"v2"}),
])
def test_tags_are_productive_by_trusted_layers_the_agent_s_before_all(given: Rules, tags: set[str]) -> None:
    assert {tag for tag in ("v1", "v2", "w1") if productive_tag(given, tag)} == tags


def test_a_value_that_is_no_name_says_where_it_stands() -> None:
    with pytest.raises(ConfigError) as branch:
        productive_branch(rules(PIPER_productiveBranch="../x"), "main")
    with pytest.raises(ConfigError) as tag:
        productive_tag(rules(PIPER_productiveTags="[1]"), "v1")
    assert (branch.value.where, tag.value.where) == ("PIPER_productiveBranch", "PIPER_productiveTags")
