"""accelerate: `with record(accelerator, model, optimizer, "runs/recording"): …` around a loop, after `accelerator.prepare`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from mlnn.errors import ConfigError
from mlnn.recording import Recorder
from mlnn.recording import record as record_loop


@contextmanager
def record(
    accelerator: Any,
    model: nn.Module,
    optimizer: Any,
    out: str | Path,
    *,
    about: Mapping[str, object] | None = None,
    **options: Any,
) -> Iterator[Recorder]:
    """`mlnn.record` of what `accelerator.prepare` returned, with what the accelerator does to a step kept as `about`.

    Raises ConfigError where the optimiser has not been prepared, and what `mlnn.record` raises.
    """
    if not isinstance(optimizer, AcceleratedOptimizer):
        raise ConfigError(
            f"record: optimizer is a {type(optimizer).__name__}; give what accelerator.prepare(model, optimizer) returned"
        )
    told = {
        "mixed_precision": accelerator.mixed_precision,
        "gradient_accumulation_steps": accelerator.gradient_accumulation_steps,
        "distributed_type": accelerator.distributed_type.value,
    }
    with record_loop(model, optimizer, out, about={**told, **(about or {})}, **options) as recorder:
        yield recorder
