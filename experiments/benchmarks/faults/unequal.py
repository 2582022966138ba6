"""All pairs of which the right side is wrong."""

from faults import field, unequal_binary, unequal_classes, unequal_numbers
from faults.causes import with_cause

TEXTBOOK = (*unequal_binary.PAIRS, *unequal_classes.PAIRS, *unequal_numbers.PAIRS)
UNEQUAL = (*map(with_cause, TEXTBOOK), *(pair for pair in field.PAIRS if pair.kind == "unequal"))
