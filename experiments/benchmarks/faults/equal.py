"""All pairs that are equal on paper."""

from faults import equal_binary, equal_classes, equal_numbers, field

EQUAL = (
    *equal_binary.PAIRS,
    *equal_classes.PAIRS,
    *equal_numbers.PAIRS,
    *(pair for pair in field.PAIRS if pair.kind == "equal"),
)
