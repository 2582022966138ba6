"""Where the numbers of a comparison go while it runs: into somebody's tracker, by the conventions that trackers share.

Taken are, in this order: `log_metrics(metrics, step=…)` (the mlflow module, Comet, Lightning's loggers), `log(metrics, step=…)`
(a W&B run, the wandb module, accelerate), `add_scalar(tag, value, step)` (TensorBoard's writer), or a function of (metrics, step).
A tracker that raises is left alone from then on, with one warning: its trouble is none of the comparison's.
"""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mlnn.errors import ConfigError
from mlnn.visible import shown

PREFIX = "mlnn/"
PAGE = "mlnn_page.html"
Put = Callable[[dict[str, float], int], object]


class Sink:
    """A tracker as a comparison uses it; what it is given is never more than numbers, words and a page."""

    def __init__(self, given: Any) -> None:
        self._given, self._put, self._works = given, _put(given), True

    def send(self, row: Mapping[str, float]) -> None:
        """One row of the trace: both losses, the gaps, the null band; a gap that was not measured is left out."""
        metrics = {
            PREFIX + name: float(value)
            for name, value in row.items()
            if _is_told(name) and (value == value or name.startswith("loss_"))
        }
        self._try(self._put, metrics, int(row["step"]))

    def finish(self, summary: Mapping[str, str | float | None], page: Callable[[], str], step: int) -> None:
        """The verdict, as words and numbers by name, and the page, each where the tracker has a place for it."""
        said = {PREFIX + name: value for name, value in summary.items() if value is not None}
        self._try(_summarise, self._given, said, step)
        self._try(_attach, self._given, page)

    def _try(self, call: Callable[..., object], *arguments: Any) -> None:
        if not self._works:
            return
        try:
            call(*arguments)
        except Exception as problem:  # anything that somebody's tracker raises
            self._works = False
            what = shown(f"{type(problem).__name__}: {problem}", 300)
            warnings.warn(f"sink: {what}; nothing more is sent to it, the comparison goes on", stacklevel=2)


def _put(given: Any) -> Put:
    if callable(getattr(given, "log_metrics", None)):
        return lambda metrics, step: given.log_metrics(metrics, step=step)
    if callable(getattr(given, "log", None)):
        return lambda metrics, step: given.log(metrics, step=step)
    if callable(getattr(given, "add_scalar", None)):
        return lambda metrics, step: [given.add_scalar(name, value, step) for name, value in metrics.items()]
    if callable(given):
        taken: Put = given
        return taken
    raise ConfigError(
        f"sink: {shown(type(given).__name__)} has none of log(metrics, step), log_metrics(metrics, step),"
        " add_scalar(tag, value, step), and is no function of (metrics, step)"
    )


def _is_told(name: str) -> bool:
    """Whether a column of the trace is sent: not the losses and gaps of lanes that stand for a band."""
    return name in ("loss_left", "loss_right") or not (name == "step" or name.startswith("loss_") or "_null_" in name)


def _summarise(given: Any, said: Mapping[str, str | float], step: int) -> None:
    if callable(getattr(getattr(given, "summary", None), "update", None)):  # W&B
        given.summary.update(dict(said))
    elif callable(getattr(given, "set_tags", None)):  # MLflow
        given.set_tags(dict(said))
    elif callable(getattr(given, "add_text", None)):  # TensorBoard
        for name, value in said.items():
            given.add_text(name, str(value), step)


def _attach(given: Any, page: Callable[[], str]) -> None:
    wandb = sys.modules.get("wandb")
    if callable(getattr(given, "log_text", None)):  # MLflow
        given.log_text(page(), PAGE)
    elif wandb is not None and (given is wandb or type(given).__module__.startswith("wandb.")):
        given.log({f"{PREFIX}page": wandb.Html(page(), inject=False)})
