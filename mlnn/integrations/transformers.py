"""Hugging Face's Trainer: `Trainer(..., callbacks=[RecordCallback("runs/recording")])`.

A Trainer says nothing when its training raises. A `with` block around it does: `with RecordCallback(out) as callback: …`; without
one, the recording ends when the next begins.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from transformers import TrainerCallback

from mlnn.integrations.begun import Begun

TOLD = (
    "per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm", "label_smoothing_factor", "bf16", "fp16",
    "seed", "data_seed", "lr_scheduler_type", "gradient_checkpointing", "average_tokens_across_devices",
)  # fmt: skip
"""Of the training's arguments, those that change what a step is: they are kept as the recording's `about`."""


class RecordCallback(TrainerCallback):
    """Records the training, from its first step to its last. The arguments are those of `mlnn.record`."""

    def __init__(self, out: str | Path, **options: Any) -> None:
        self.recording = Begun(out, **options)

    def on_train_begin(self, args: Any, *_: Any, model: Any, optimizer: Any, **__: Any) -> None:
        """The model and the optimiser are as they will be trained."""
        self.recording.begin(model, optimizer, _about(args))

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """All steps have been made."""
        self.recording.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, problem: BaseException | None, __: TracebackType | None) -> None:
        self.recording.end(problem)


def _about(args: Any) -> Mapping[str, object]:
    return {name: getattr(args, name) for name in TOLD if hasattr(args, name)}
