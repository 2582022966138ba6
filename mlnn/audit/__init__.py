"""Is exp(−loss) a likelihood? The audit of a loss, and of a model. `mlnn.audit(loss)` is this module, called."""

import sys
from types import ModuleType
from typing import Any

import torch

from mlnn.audit.certificate import KINDS, Certificate, check_kind, unmet
from mlnn.audit.examine import audit
from mlnn.audit.model import ModelAudit, audit_model
from mlnn.audit.prior import PriorAudit, prior_of
from mlnn.targets import TargetSpace

__all__ = [
    "KINDS",
    "Certificate",
    "ModelAudit",
    "PriorAudit",
    "audit",
    "audit_model",
    "check_kind",
    "prior_of",
    "unmet",
]


class _Called(ModuleType):
    """The folder and the function have one name, so that the module itself must take the call."""

    def __call__(
        self,
        loss: Any,
        targets: str | TargetSpace = "binary",
        *,
        outputs: str = "raw",
        dtype: torch.dtype | str = torch.float32,
        name: str | None = None,
    ) -> Certificate:
        return audit(loss, targets, outputs=outputs, dtype=dtype, name=name)


_Called.__call__.__doc__ = audit.__doc__
sys.modules[__name__].__class__ = _Called
