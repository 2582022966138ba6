"""Target spaces: which values `y` may take, and all that follows from it."""

from mlnn.targets.facts import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL, Coordinate, Facts
from mlnn.targets.space import OFFSET, TargetSpace
from mlnn.targets.spaces import SPACES

__all__ = ["COUNTS", "HALF_LINE", "LINE", "OFFSET", "SPACES", "UNIT_INTERVAL", "Coordinate", "Facts", "TargetSpace"]
