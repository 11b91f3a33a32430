"""One update from its plan to its push, as the step does it for a single branch."""

from __future__ import annotations

from towline.git.repository import Repository
from towline.gitops.change import Change
from towline.gitops.update import CommitText, Update, UpdateJob, UpdateOptions, plan_update, push


def update(
    repository: Repository,
    *,
    branch: str,
    change: Change,
    text: CommitText,
    terms: UpdateOptions | None = None,
) -> Update:
    """What becomes of `change` on `branch`."""
    job = UpdateJob(
        repository=repository,
        branch=branch,
        change=change,
        text=text,
        terms=terms or UpdateOptions(),
    )
    with repository.alone(branch):
        return push(job, plan_update(job))
