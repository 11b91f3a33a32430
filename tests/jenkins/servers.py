"""The servers of the library's end-to-end test, as a child process of the Groovy tests.

They are three registries, a git repository and an image. Started from the top of the repository;
everything that is written is in FOLDER:

    python -m tests.jenkins.servers FOLDER

The process prints one line of JSON with addresses and logins. Then it answers each line on
standard input by one line of JSON: `stop-staging`, `vault` (a Vault that holds the target's login,
and an AppRole for it), `state` (the contents of registries and repository, read past the servers),
`quit`. The end of the input counts as `quit`.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.git_server import GitServer
from tests.fakes.images import ImageParts, make_index, missing, put
from tests.fakes.registry import FakeRegistry
from tests.fakes.vault_server import VaultServer

NAME = "azure-demo-k8s-go"
TAG = "1.0.0"
PLATFORMS = ("linux/amd64", "linux/arm64")
SEED_TARGET = "https://piper-test.common.repositories.cloud.sap"
SEED_REPOSITORY = "https://github.tools.sap/project-piper/azure-demo-k8s-go.git"


def main() -> int:
    """Serve until the input says `quit` or ends."""
    with ExitStack() as stack:
        world = World.start(stack, Path(sys.argv[1]))
        answer(world.describe())
        for line in sys.stdin:
            word = line.strip()
            if word == "quit":
                break
            known: dict[str, Callable[[], dict[str, object]]] = {
                "stop-staging": world.stop_staging,
                "state": world.state,
                "vault": lambda: start_vault(stack, Path(sys.argv[1]), world),
            }
            answer(known[word]() if word in known else {"error": f"unknown command {word!r}"})
    return 0


def start_vault(stack: ExitStack, folder: Path, world: World) -> dict[str, object]:
    """A Vault with the target's login, and an AppRole that may read it."""
    (folder / "vault").mkdir()
    vault = stack.enter_context(VaultServer(folder / "vault"))
    vault.put(
        "team/docker-registry",
        targetRegistryUser=world.target.username,
        targetRegistryPassword=world.target.password,
    )
    vault.policy("team", "secret/data/team/*")
    role, secret = vault.app_role("team")
    return {"url": vault.url, "role": role, "secret": secret}


def answer(record: dict[str, object]) -> None:
    """Print one line at once."""
    print(json.dumps(record), flush=True)


@dataclass(kw_only=True)
class World:
    """The servers, and the sample project with their hosts instead of its own."""

    staging: FakeRegistry
    target: FakeRegistry
    releases: FakeRegistry
    git: GitServer
    git_password: str
    project: Path
    repository: Path
    image: ImageParts

    @classmethod
    def start(cls, stack: ExitStack, folder: Path) -> World:
        """Start the servers, put the image into staging and the project into the repository."""
        # difficult for a shell, on purpose
        passwords = [
            f"{name}$HOME'\"`{secrets.token_urlsafe(12)}"
            for name in ("staging", "target", "git", "releases")
        ]
        staging = stack.enter_context(
            FakeRegistry(username="staging-user", password=passwords[0], auth="basic")
        )
        target = stack.enter_context(
            FakeRegistry(username="target-user", password=passwords[1], auth="bearer")
        )
        releases = stack.enter_context(
            FakeRegistry(username="release-user", password=passwords[3], auth="basic")
        )
        git = stack.enter_context(
            GitServer(folder / "repositories", username="git-user", password=passwords[2])
        )
        project = folder / "project"
        shutil.copytree(Path("examples") / NAME, project)
        configuration = project / ".pipeline" / "config.yml"
        configuration.write_text(
            configuration.read_text()
            .replace(SEED_TARGET, target.url)
            .replace(SEED_REPOSITORY, git.url(NAME))
        )
        files = {
            str(path.relative_to(project)): path.read_bytes()
            for path in sorted(project.rglob("*"))
            if path.is_file()
        }
        image = make_index(PLATFORMS)
        put(image, staging, NAME, TAG)
        return cls(
            staging=staging,
            target=target,
            releases=releases,
            git=git,
            git_password=passwords[2],
            project=project,
            repository=git.create(NAME, dict(files)),
            image=image,
        )

    def describe(self) -> dict[str, object]:
        """The addresses, the made-up logins, the image, and the project as a checkout finds it."""
        return {
            **{
                name: {
                    "url": registry.url,
                    "host": registry.host,
                    "username": registry.username,
                    "password": registry.password,
                }
                for name, registry in (
                    ("staging", self.staging),
                    ("target", self.target),
                    ("releases", self.releases),
                )
            },
            "git": {
                "url": self.git.url(NAME),
                "username": "git-user",
                "password": self.git_password,
            },
            "image": {
                "name": NAME,
                "tag": TAG,
                "digest": self.image.digest,
                "platforms": list(PLATFORMS),
            },
            "project": str(self.project.resolve()),
        }

    def stop_staging(self) -> dict[str, object]:
        """Stop the staging registry for good."""
        self.staging.stop()
        return {"stopped": self.staging.url}

    def state(self) -> dict[str, object]:
        """What the registries hold under the tag, how often they were written to, and the
        branch: its commits, newest first, and its files.
        """
        return {
            "stagingDigest": tagged(self.staging),
            "targetDigest": tagged(self.target),
            "targetPlatforms": self.platforms(tagged(self.target)),
            "targetMisses": list(missing(self.image, self.target, NAME)),
            "targetWrites": written(self.target),
            "releasesDigest": tagged(self.releases),
            "releasesMisses": list(missing(self.image, self.releases, NAME)),
            "releasesWrites": written(self.releases),
            "releasesRefusals": sum(
                record.status == 401 and bool(record.authorization)
                for record in self.releases.requests
            ),
            "commits": self.commits(),
            "files": {
                name: self.show(name)
                for name in self.git.git(
                    "ls-tree", "-r", "--name-only", "HEAD", repository=self.repository
                ).splitlines()
            },
        }

    def platforms(self, digest: str) -> list[str]:
        """The platforms of the index that the target holds under `digest`."""
        if not digest:
            return []
        _, _, manifest = self.target.manifest(NAME, digest)
        return [
            f"{entry['platform']['os']}/{entry['platform']['architecture']}"
            for entry in json.loads(manifest)["manifests"]
        ]

    def commits(self) -> list[dict[str, object]]:
        """Every commit of the branch: id, subject, body with its trailers, and the files it
        changed.
        """
        found: list[dict[str, object]] = []
        for commit in self.git.git("rev-list", "HEAD", repository=self.repository).split():
            subject, _, body = self.git.git(
                "log", "-1", "--format=%B", commit, repository=self.repository
            ).partition("\n")
            changed = self.git.git(
                "diff-tree",
                "-r",
                "--root",
                "--no-commit-id",
                "--name-only",
                commit,
                repository=self.repository,
            ).splitlines()
            found.append({"id": commit, "subject": subject, "body": body.strip(), "files": changed})
        return found

    def show(self, name: str) -> str:
        """The text of a file at the tip."""
        return self.git.git("show", f"HEAD:{name}", repository=self.repository)


def tagged(registry: FakeRegistry) -> str:
    """The digest of the tag in the registry; empty if there is none."""
    held = registry.storage.get(NAME)
    return held.tags.get(TAG, "") if held else ""


def written(registry: FakeRegistry) -> int:
    """The number of writes to the registry."""
    return sum(registry.count(method) for method in ("POST", "PUT", "PATCH", "DELETE"))


if __name__ == "__main__":
    sys.exit(main())
