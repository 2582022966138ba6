"""Is exp(−loss) a likelihood? The audit of a loss, of a model, and of weight decay as a prior."""

from mlnn.auditing.certificate import KINDS, Certificate, check_kind, unmet
from mlnn.auditing.examine import audit
from mlnn.auditing.model import ModelAudit, audit_model
from mlnn.auditing.prior import PriorAudit, prior_of

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
