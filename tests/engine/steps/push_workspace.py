"""The registries and the workspace of the tests of imagePushToRegistry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.calls import Ending, configure, request
from tests.fakes.images import make_index, put
from tests.fakes.registry import FakeRegistry

PASSWORD = "target-pass-word"


class PushWorkspace:
    """A workspace between a staging and a target registry, with one two-platform image in
    staging.
    """

    def __init__(self, folder: Path, staging: FakeRegistry, target: FakeRegistry) -> None:
        self.folder, self.staging, self.target = folder, staging, target
        self.unproven: list[str] = []
        self.image = make_index(("linux/amd64", "linux/arm64"))
        put(self.image, staging, "team/app", "1.0.0-7")
        self.configure(target.url)

    def configure(self, url: str, more: str = "") -> None:
        configure(
            self.folder, f"steps:\n  imagePushToRegistry:\n    targetRegistryUrl: {url}\n{more}"
        )

    def push(
        self,
        *words: str,
        parameters: dict[str, object] | None = None,
        environ: dict[str, str] | None = None,
        **environment: object,
    ) -> Ending:
        known: dict[str, Any] = {
            "container/registryUrl": self.staging.url,
            "container/imageNames": ["team/app"],
            "container/imageNameTags": ["team/app:1.0.0-7"],
            "container/imageDigests": [self.image.digest],
            "artifactVersion": "1.0.0+7",
            **environment,
        }
        known = {key: value for key, value in known.items() if value is not None}
        login = (
            {"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": PASSWORD}
            if environ is None
            else environ
        )
        flag = request(
            self.folder,
            step="imagePushToRegistry",
            pipelineEnvironment=known,
            unproven=self.unproven,
            parameters=parameters or {},
        )
        return Ending(["run", "imagePushToRegistry", *flag, *words], self.folder, login)
