"""Pure.

What Towline reads of a configuration for the pipeline as a whole, besides its steps: where it may
stand, and its types.
"""

from __future__ import annotations

from towline.config.schema import GENERAL, STAGES, STEPS, Parameter, StepSchema

_SCOPE = (GENERAL, STEPS, STAGES)

PIPELINE = StepSchema(
    name="pipeline",
    description="",
    parameters=(
        Parameter(name="productiveBranch", type="string", description="", scope=_SCOPE),
        Parameter(name="productiveTags", type="list", description="", scope=_SCOPE, trusted=True),
        Parameter(
            name="enforcement",
            type="string",
            description="",
            scope=_SCOPE,
            trusted=True,
            possible_values=("error", "warn"),
        ),
        Parameter(
            name="allowChangeRequest", type="boolean", description="", scope=_SCOPE, trusted=True
        ),
        Parameter(name="defaultHosts", type="list", description="", scope=(GENERAL,), trusted=True),
        Parameter(name="projectExtensionsDirectory", type="string", description="", scope=_SCOPE),
    ),
)
