"""One update from its plan to its push, as the step does it for a single branch."""

from __future__ import annotations

from towline.git.repository import Repository
from towline.gitops.change import Change
from towline.gitops.update import CommitText, Job, Terms, Update, plan, push


def update(
    repository: Repository,
    *,
    branch: str,
    change: Change,
    text: CommitText,
    terms: Terms | None = None,
) -> Update:
    """What becomes of `change` on `branch`."""
    job = Job(
        repository=repository, branch=branch, change=change, text=text, terms=terms or Terms()
    )
    with repository.alone(branch):
        return push(job, plan(job))
