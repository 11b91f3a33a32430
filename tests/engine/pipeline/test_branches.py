from __future__ import annotations

import pytest

from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import agent_layer
from towline.config.metadata import PIPELINE
from towline.errors import ConfigError
from towline.pipeline.branches import (
    BranchRules,
    DefaultBranch,
    is_productive_tag,
    judge_branch,
    judge_revision,
)
from towline.record import replace

PROJECT = "general: {productiveBranch: trunk, productiveTags: [w*]}"
UNKNOWN, DEVELOP = DefaultBranch(), DefaultBranch(name="develop", by="origin/HEAD")


def rules(
    project: str = PROJECT,
    team: str = "",
    *,
    own: bool = True,
    default: DefaultBranch = UNKNOWN,
    **variables: str,
) -> BranchRules:
    documents = ConfigDocuments(
        defaults=(parse_document(team, "team.yml", trusted=True),),
        project=parse_document(project, "config.yml", trusted=False),
    )
    return BranchRules(
        documents=documents,
        agent=agent_layer(PIPELINE, variables),
        default=lambda: default,
        own=own,
    )


@pytest.mark.parametrize(
    ("given", "branches"),
    [
        (rules(""), {"main", "master"}),
        (rules(), {"trunk"}),
        (rules(PIPER_productiveBranch="prod"), {"prod"}),
        (rules(PIPER_productiveBranch="ma*"), {"main", "master"}),
        (rules(PIPER_productiveBranch=""), {"trunk"}),
        (rules("", "general: {productiveBranch: prod}"), {"prod"}),
    ],
)
def test_the_agents_variable_for_branches_overrides_the_documents(
    given: BranchRules, branches: set[str]
) -> None:
    assert {
        branch
        for branch in ("main", "master", "trunk", "prod")
        if judge_branch(given, branch).productive
    } == branches


def tip(text: str) -> DefaultBranch:
    """A default branch whose tip is in the checkout, with this configuration."""
    return replace(
        DEVELOP, tip=lambda: parse_document(text, "config.yml on develop", trusted=False)
    )


@pytest.mark.parametrize(
    ("given", "branches"),
    [
        (rules("", own=False), {"main", "master"}),
        (rules("", own=False, default=DEVELOP), {"develop"}),
        (rules("", "general: {productiveBranch: main}", own=False, default=DEVELOP), {"main"}),
        # develop says so of x, and x of itself
        (rules("general: {productiveBranch: x}", own=False, default=DEVELOP), set()),
        (
            rules(
                "general: {productiveBranch: x}",
                own=False,
                default=tip("general: {productiveBranch: x}"),
            ),
            {"x"},
        ),
        (
            rules(
                "general: {productiveBranch: x}",
                own=False,
                default=tip("general: {productiveBranch: master}"),
            ),
            {"master"},
        ),
        (rules("general: {productiveBranch: x}", own=False, default=tip("")), set()),
        # the workspace is develop's tip if that is built
        (rules("", own=False, default=tip("general: {productiveBranch: x}")), {"x", "develop"}),
        (
            rules(
                "general: {productiveBranch: x}",
                "general: {productiveBranch: main}",
                own=False,
                default=DEVELOP,
            ),
            {"main"},
        ),
        (
            rules(
                "general: {productiveBranch: x}",
                own=False,
                default=DEVELOP,
                PIPER_productiveBranch="x",
            ),
            {"x"},
        ),
        (
            rules(
                "general: {productiveBranch: x}",
                "general: {enforcement: warn}",
                own=False,
                default=DEVELOP,
            ),
            {"x"},
        ),
        (rules("general: {productiveBranch: main}", own=False), {"main"}),
    ],
)
def test_a_branch_does_not_call_itself_productive(given: BranchRules, branches: set[str]) -> None:
    assert {
        branch
        for branch in ("main", "master", "develop", "x")
        if judge_branch(given, branch).productive
    } == branches


def test_an_ignored_setting_is_reported_with_the_line_to_add() -> None:
    found = judge_branch(
        rules("\ngeneral: {productiveBranch: 'x*'}", own=False, default=DEVELOP), "x1"
    )
    assert found.why == "the default branch is develop, as origin/HEAD says"
    assert "only the branch's own configuration calls x1 productive (config.yml:2)" in found.ignored
    assert "`general: {productiveBranch: 'x*'}`" in found.ignored
    assert "PIPER_productiveBranch='x*'" in found.ignored
    lenient = judge_branch(
        rules(
            "general: {productiveBranch: x}",
            "general: {enforcement: warn}",
            own=False,
            default=DEVELOP,
        ),
        "x",
    )
    assert (lenient.productive, "it counts only while" in lenient.warning) == (True, True)


def test_main_is_productive_no_more_where_another_branch_is_the_default_one() -> None:
    assert (
        "main is not productive: the default branch is develop"
        in judge_branch(rules("", own=False, default=DEVELOP), "main").ignored
    )
    lenient = judge_branch(
        rules("", "general: {enforcement: warn}", own=False, default=DEVELOP), "main"
    )
    assert (lenient.productive, bool(lenient.warning)) == (True, True)


def test_a_job_whose_owner_has_set_its_branch_is_productive_and_what_nobody_knows_is_not() -> None:
    assert judge_revision(rules()).productive
    assert judge_revision(rules(), branch="trunk").productive
    assert not judge_revision(rules(), branch="trunk", unknown="x").productive
    assert not judge_revision(rules(), tag="w1").productive


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        (rules(), set()),  # whoever may push a tag could deploy
        (rules(PIPER_productiveTags="v*"), {"v1", "v2"}),
        (rules(PIPER_productiveTags='["v1", "w*"]'), {"v1", "w1"}),
        (rules("", "general: {productiveTags: [v1]}"), {"v1"}),
        (rules(PROJECT, "general: {productiveTags: [v1]}", PIPER_productiveTags="v2"), {"v2"}),
    ],
)
def test_tags_are_productive_by_trusted_layers_the_agent_s_before_all(
    given: BranchRules, tags: set[str]
) -> None:
    assert {tag for tag in ("v1", "v2", "w1") if is_productive_tag(given, tag)} == tags


def test_an_invalid_name_is_reported_with_its_line() -> None:
    with pytest.raises(ConfigError) as branch:
        judge_branch(rules(PIPER_productiveBranch="../x"), "main")
    with pytest.raises(ConfigError) as tag:
        is_productive_tag(rules(PIPER_productiveTags="[1]"), "v1")
    assert (branch.value.where, tag.value.where) == (
        "PIPER_productiveBranch",
        "PIPER_productiveTags",
    )
