"""Two catalogues of pairs whose verdict is known beforehand: equal on paper, and wrong in the ways that people are."""

from faults.equal import EQUAL
from faults.pair import Pair
from faults.unequal import UNEQUAL

PAIRS = tuple(sorted((*EQUAL, *UNEQUAL), key=lambda pair: pair.family != "textbook"))  # those of the textbook first

__all__ = ["EQUAL", "PAIRS", "UNEQUAL", "Pair"]
