"""The one place that loads modules by name: commands, steps, and parts that only few calls need.

All other imports stand at the top of their modules.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from towline.errors import UsageError
from towline.files import resource_folder

COMMANDS = {
    "run": ("towline.commands.run", "run one step"),
    "copy": ("towline.commands.copy", "copy one image into registries"),
    "plan": ("towline.commands.plan", "say which stages and steps are active, and why"),
    "getConfig": (
        "towline.commands.get_config",
        "print a configuration as Piper's command of that name",
    ),
    "checkIfStepActive": (
        "towline.commands.check_if_step_active",
        "answer as Piper's command of that name",
    ),
    "explain": (
        "towline.commands.explain",
        "say which value every parameter of a step has, and where it comes from",
    ),
    "exec": ("towline.commands.exec", "run a program with credentials of Vault in its environment"),
    "lint": ("towline.commands.lint", "say everything that is wrong in the configuration"),
    "schema": (
        "towline.commands.schema",
        "print the JSON Schema of .pipeline/config.yml, for editors",
    ),
    "completion": (
        "towline.commands.completion",
        "print the completion of commands and flags for a shell",
    ),
}

STEPS = {
    "imagePushToRegistry": "towline.steps.image_push_to_registry",
    "gitOpsUpdateDeployment": "towline.steps.gitops_update_deployment",
    "containerPushToRegistry": "towline.steps.container_push_to_registry",
    "vaultRotateSecretId": "towline.steps.vault_rotate_secret_id",
}

SOURCES = {
    "http": "towline.http.download",
}

PARTS = {
    "vault": "towline.commands.vault_secrets",
    "team": "towline.commands.team",
    "vault_client": "towline.vault.client",
    "docker_daemon": "towline.registry.local.daemon",
    "local_images": "towline.registry.local.open_local",
    "certificates": "towline.http.certificates",
    "credential_helper": "towline.registry.auth.credential_helper",
    "ci_report": "towline.commands.ci_report",
    "own_version": "towline.pipeline.own_version",
    "validate": "towline.gitops.validate",
    "credentials": "towline.commands.credentials",
    "app_login": "towline.steps.deployment.app_login",
    "jwt_library": "towline.hosting.jwt_library",
    "sealing": "towline.pipeline.sealing",
    "cipher_library": "towline.pipeline.cipher_library",
    "progress_lines": "towline.registry.copy.progress_lines",
    "chart_repositories": "towline.steps.deployment.chart_repositories",
    "registry_check": "towline.steps.deployment.registry_check",
}


def command(name: str) -> Any:
    """Return the module of a command: `configure(parser, words)` and `execute(arguments, call)`."""
    return import_module(COMMANDS[name][0])


def check_step(name: str) -> None:
    """Raise UsageError unless Towline itself runs the step of this name."""
    if name not in STEPS:
        raise UsageError(
            f"{name} is not a step that Towline runs",
            hint=f"call it from the library that offers it; Towline runs: {', '.join(STEPS)}",
        )


def step(name: str) -> Any:
    """Return the module of a step by its name: `run(task)`; raises UsageError as `check_step`."""
    check_step(name)
    return import_module(STEPS[name])


def source(name: str) -> Any:
    """Return the module that reads documents from a kind of source, such as `http`."""
    return import_module(SOURCES[name])


def part(name: str) -> Any:
    """Return a module that only few calls need."""
    return import_module(PARTS[name])


def resource_names(folder: str) -> list[str]:
    """Return the sorted names of the files in a folder of the shared data.

    `importlib.resources` is loaded only if the engine runs from a zipapp.
    """
    path = resource_folder() / folder
    if path.is_dir():
        return sorted(os.listdir(path))  # noqa: PTH208 - names are all that is wanted
    packaged = import_module("importlib.resources").files("towline").joinpath("resources", folder)
    return sorted(entry.name for entry in packaged.iterdir())


def standard_module(name: str) -> Any:
    """Return a module of the standard library that only few calls need, such as `difflib`."""
    return import_module(name)
