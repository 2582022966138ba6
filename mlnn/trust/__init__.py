"""What a config may name, and how what it names is built."""

from mlnn.trust.building import check_arguments, check_finite, instantiate
from mlnn.trust.names import check_targets, resolve

__all__ = ["check_arguments", "check_finite", "check_targets", "instantiate", "resolve"]
