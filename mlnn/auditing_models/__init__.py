"""Given this model, is the loss −log of a product over rows, and is its weight decay a prior?"""

from mlnn.auditing_models.audit import audit_model
from mlnn.auditing_models.prior import prior_of
from mlnn.auditing_models.record import ModelAudit, PriorAudit

__all__ = ["ModelAudit", "PriorAudit", "audit_model", "prior_of"]
