"""Extensions: Groovy files of the project and of the company that wrap a stage (facts 3.7)."""

from __future__ import annotations

from towline.config.documents import former_stage_names
from towline.config.schema import as_text
from towline.pipeline.branches import located_at
from towline.pipeline.build import PipelineView
from towline.pipeline.definition import StageDefinition

# by the key that sets it, the folder in the workspace; the outermost extensions first
_FOLDERS = {
    "projectExtensionsDirectory": ".pipeline/extensions",
    "globalExtensionsDirectory": ".pipeline/tmp/global_extensions",
}


def find_extensions(view: PipelineView, stage: StageDefinition) -> tuple[str, ...]:
    """The files that extend the stage, the outermost first, by their paths in the workspace.

    There are none if the definition or the agent forbids them. Raises ConfigError.
    """
    if not stage.extensible or not view.build.extensions:
        return ()
    return tuple(path for key in _FOLDERS if (path := _find(view, stage, key)))


def extension_folders(view: PipelineView) -> tuple[str, ...]:
    """The folders of extensions in the workspace; raises ConfigError."""
    return tuple(_folder(view, key) for key in _FOLDERS)


def _folder(view: PipelineView, key: str) -> str:
    setting = view.rules.setting(key)
    return as_text(setting.value).rstrip("/") if setting and setting.value else _FOLDERS[key]


def _find(view: PipelineView, stage: StageDefinition, key: str) -> str:
    """The stage's file in the folder that `key` sets; empty if there is none."""
    setting = view.rules.setting(key)
    folder = _folder(view, key)
    with located_at(setting):
        for name in (stage.name, *former_stage_names(stage.name)):
            if path := view.build.workspace.find(f"{folder}/{name}.groovy"):
                return path
    return ""
