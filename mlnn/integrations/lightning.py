"""Lightning: `Trainer(callbacks=[Record("runs/recording")])`."""

from pathlib import Path
from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from mlnn.errors import ConfigError
from mlnn.integrations.begun import Begun


class Record(Callback):
    """Records the training, from its first step to its last, also where it raises.

    optimizer: which of the module's optimisers, needed where it has several. The other arguments are those of `mlnn.record`.
    A batch is what the module itself is called with (`self(x)`), or, where `training_step` calls only parts of it
    (`self.net(x)`), what `training_step` is given.
    """

    def __init__(self, out: str | Path, *, optimizer: int | None = None, **options: Any) -> None:
        self.recording, self.optimizer = Begun(out, **options), optimizer

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The optimisers are made, and no step yet."""
        about = {
            "accumulate_grad_batches": trainer.accumulate_grad_batches,
            "gradient_clip_val": trainer.gradient_clip_val,
            "precision": trainer.precision,
            "strategy": type(trainer.strategy).__name__,
        }
        self.recording.begin(pl_module, self._chosen(trainer.optimizers), about)

    def _chosen(self, optimizers: list[Any]) -> Any:
        if self.optimizer is None and len(optimizers) != 1:
            raise ConfigError(
                f"Record: the module has {len(optimizers)} optimisers, and one is recorded: optimizer=0 for the first"
            )
        try:
            return optimizers[self.optimizer or 0]
        except (IndexError, TypeError) as problem:
            raise ConfigError(
                f"Record: there is no optimizer={self.optimizer!r}; the module has {len(optimizers)}"
            ) from problem

    def on_train_batch_start(self, _trainer: Any, _module: Any, batch: Any, _index: int) -> None:
        """A batch is there."""
        if self.recording.recorder is not None:
            self.recording.recorder.offer(batch)

    def on_train_end(self, *_: Any) -> None:
        """All steps have been made."""
        self.recording.end()

    def on_exception(self, _trainer: Any, _module: Any, exception: BaseException) -> None:
        """The training has raised, or was interrupted."""
        self.recording.end(exception)
