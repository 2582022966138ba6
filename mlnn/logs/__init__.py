"""Logs that other tools wrote of a training: TensorBoard events, CSV, JSON lines, trainer_state.json, as one record."""

from mlnn.logs.log import Limits, Log, Series, segments
from mlnn.logs.reading import KINDS, read_log

__all__ = ["KINDS", "Limits", "Log", "Series", "read_log", "segments"]
