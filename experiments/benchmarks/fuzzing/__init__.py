"""Hostile files: every field of every format that mlnn reads, replaced by what does not belong there, and what came of it."""

from fuzzing.running import Case, Outcome, cases, run_case
from fuzzing.specimens import SPECIMENS

__all__ = ["SPECIMENS", "Case", "Outcome", "cases", "run_case"]
