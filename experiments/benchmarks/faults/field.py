"""All pairs of the field: losses and loops as people run them, and their faults."""

from faults import (
    field_casts,
    field_kernels,
    field_positions,
    field_rows,
    field_spaces,
    field_steps,
    field_tokens,
    field_updates,
)

PAIRS = (
    *field_casts.PAIRS,
    *field_kernels.PAIRS,
    *field_tokens.PAIRS,
    *field_positions.PAIRS,
    *field_rows.PAIRS,
    *field_spaces.PAIRS,
    *field_steps.PAIRS,
    *field_updates.PAIRS,
)
