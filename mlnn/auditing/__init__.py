"""Is exp(−loss) a likelihood? The audit of a loss."""

from mlnn.auditing.certificate import KINDS, Certificate, check_kind, unmet
from mlnn.auditing.examine import audit

__all__ = ["KINDS", "Certificate", "audit", "check_kind", "unmet"]
