"""Which tensor of a lifted loss is the target, what one raw output is, and what a target may be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.lifting.lifted import Entry, Lifted
from mlnn.targets import TargetSpace
from mlnn.visible import shown

TARGETS = ("labels", "label", "targets", "target", "y")
"""Names of targets, as batches have them; in a pair (x, y) it is the second part."""
SECOND = ("args.1", "batch.1", "1")
ADDS_UP = 1e-5


@dataclass(frozen=True)
class Form:
    """How one raw output, and one target, stand in what was recorded.

    `axis`: where a raw output's numbers lie in the one tensor of raw outputs; None where each entry is one, and where there are
    `parts`, tensors of one number each. `signs`: whether targets are written −1 and 1. `space`: of one target. `logs`: whether what
    was recorded are log-probabilities, which raw outputs become by a log-softmax first.
    """

    space: TargetSpace
    axis: int | None = None
    parts: int = 1
    signs: bool = False
    logs: bool = False

    @property
    def several(self) -> bool:
        """Whether a raw output is several numbers."""
        return self.axis is not None or self.parts > 1


def target_of(lifted: Lifted, name: str | None = None) -> int:
    """The constant that is the target, by its place; `name`: the one that is wanted. Raises ConfigError where it cannot be told."""
    entries = lifted.constants
    if name is not None:
        found = [place for place, entry in enumerate(entries) if name in (entry.name, entry.name.split(".")[-1])]
        if len(found) != 1:
            raise ConfigError(
                f"target: '{shown(name)}' is none of what enters the loss: {_told(entries) or 'nothing does'}"
            )
        return found[0]
    fitting = [place for place, entry in enumerate(entries) if any(True for _ in forms(lifted, entry.value))]
    if not fitting:
        raise ConfigError(
            "target: no tensor that enters the loss has a shape that goes with its raw outputs"
            f" {_shapes(lifted)}: {_told(entries) or 'nothing enters'}"
        )
    ranks = {place: _rank(entries[place]) for place in fitting}
    best = [place for place in fitting if ranks[place] == min(ranks.values())]
    if len(best) > 1:
        several = sorted((entries[place] for place in best), key=lambda entry: entry.name)
        raise ConfigError(f"target: {_told(several)} may each be the target; say which with target='…'")
    return best[0]


def _rank(entry: Entry) -> int:
    last = entry.name.split(".")[-1]
    if last in TARGETS:
        return 0
    if entry.name in SECOND:
        return 1
    kind = entry.value.dtype
    return 4 if kind == torch.bool else 3 if kind.is_floating_point else 2


def _told(entries: Sequence[Entry]) -> str:
    return ", ".join(f"'{shown(entry.name)}' {tuple(entry.value.shape)}" for entry in entries[:8])


def _shapes(lifted: Lifted) -> str:
    return " and ".join(str(tuple(entry.value.shape)) for entry in lifted.outputs)


def forms(lifted: Lifted, target: Tensor, targets: TargetSpace | None = None) -> Iterator[Form]:
    """The ways in which a constant may be the target of the raw outputs, the likeliest first; `targets`: the space, if said."""
    shapes = [entry.value.shape for entry in lifted.outputs]
    if not target.ndim:
        return
    found = _of_parts(shapes, target) if len(shapes) > 1 else _of_one(shapes[0], target)
    if targets is None:
        yield from found
    elif targets.event:
        if len(shapes) == 1 and target.shape == shapes[0] and target.shape[-1:] == targets.event:
            yield Form(replace(targets, axis=None), target.ndim - 1)
    else:
        yield from (fitted for form in found if (fitted := _said(form, targets)) is not None)


def _said(form: Form, targets: TargetSpace) -> Form | None:
    """A form with the target space that was said; None where its raw outputs are not of that kind."""
    if form.space.event or ((targets.labels or form.space.labels) and form.space.outputs != targets.outputs):
        return None
    raw = form.space.raw if form.several and not targets.labels else None
    return replace(form, space=replace(targets, axis=None, raw=raw or targets.raw))


def _of_parts(shapes: Sequence[torch.Size], target: Tensor) -> Iterator[Form]:
    """Several tensors of one number each: a mean and a variance."""
    sizes = {shape.numel() for shape in shapes}
    if sizes == {target.numel()}:
        space, _ = _numbers(target)
        yield Form(replace(space, raw=len(shapes)), parts=len(shapes))


def _of_one(shape: torch.Size, target: Tensor) -> Iterator[Form]:
    labels = target.dtype != torch.bool and _whole(target)
    for axis in _axes(shape, target) if labels else ():
        space = _classes(shape[axis], target)
        if space is not None:
            yield Form(space, axis)
    if target.shape == shape or (target.numel() == shape.numel() and _squeezed(target.shape) == _squeezed(shape)):
        space, signs = _numbers(target)
        yield Form(space, signs=signs)
        if len(shape) > 1 and shape[-1] > 1 and target.is_floating_point() and _adds_up(target):
            yield Form(TargetSpace("simplex", shape[-1]), len(shape) - 1)
    elif len(shape) > 1 and shape[-1] > 1 and target.dtype != torch.bool and _fits(shape[:-1], target.shape):
        space, signs = _numbers(target)
        yield Form(replace(space, raw=shape[-1]), len(shape) - 1, signs=signs)


def _axes(shape: torch.Size, target: Tensor) -> Iterator[int]:
    """Axes that may be that of the classes: the last, or the second."""
    if len(shape) > 1 and shape[-1] > 1 and _fits(shape[:-1], target.shape):
        yield len(shape) - 1
    if len(shape) > 2 and shape[1] > 1 and shape[:1] + shape[2:] == target.shape:
        yield 1


def _fits(lead: torch.Size, shape: torch.Size) -> bool:
    """Whether targets of a shape may go with raw outputs of leading shape `lead`: as they are, flat, or one shorter."""
    sizes = [lead.numel()] if len(lead) < 2 else [lead.numel(), lead[:-1].numel() * (lead[-1] - 1)]
    return shape.numel() in sizes and (len(shape) == 1 or shape[: len(lead) - 1] == lead[:-1])


def _squeezed(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


def _classes(count: int, target: Tensor) -> TargetSpace | None:
    """classes(K), with the one label outside of 0 … K−1 that says that a position does not count."""
    outside = target[(target < 0) | (target >= count)].unique()
    if len(outside) > 1:
        return None
    return TargetSpace("classes", count, ignore=int(outside[0]) if len(outside) else None)


def _numbers(target: Tensor) -> tuple[TargetSpace, bool]:
    """What single numbers may be, as far as those of one batch tell; and whether they are written −1 and 1."""
    found = (
        set(target.unique().tolist()) if target.numel() < 2**24 else set(target.flatten()[: 2**16].unique().tolist())
    )
    if found <= {0, 1}:
        return TargetSpace("binary"), False
    if found <= {-1, 1}:
        return TargetSpace("binary"), True
    return TargetSpace("counts" if _whole(target) and min(found) >= 0 else "real"), False


def _whole(target: Tensor) -> bool:
    return not target.is_floating_point() or bool((target == target.round()).all())


def _adds_up(target: Tensor) -> bool:
    return bool((target >= 0).all()) and bool(((target.double().sum(-1) - 1).abs() <= ADDS_UP).all())


def outputs_of(lifted: Lifted, form: Form) -> str:
    """What the model returned: "raw" outputs, "probabilities", or "log-probabilities"; the loss of the first need not be defined
    for the others."""
    if form.parts > 1 or not (form.space.labels or form.space.kind in ("binary", "unit", "simplex")):
        return "raw"
    value = lifted.outputs[0].value.double()
    if form.axis is not None:
        if bool((value.logsumexp(form.axis).abs() <= ADDS_UP).all()):
            return "log-probabilities"
        inside = bool((value >= 0).all()) and bool(((value.sum(form.axis) - 1).abs() <= ADDS_UP).all())
        return "probabilities" if inside else "raw"
    inside = bool(((value >= 0) & (value <= 1)).all())
    return "probabilities" if inside and not _is_defined(lifted, -0.5) else "raw"


def _is_defined(lifted: Lifted, output: float) -> bool:
    """Whether the loss has a finite value where every raw output is one number."""
    try:
        with torch.no_grad():
            found = lifted(*(torch.full_like(entry.value, output) for entry in lifted.outputs))
    except (RuntimeError, ValueError):
        return False
    return bool(torch.isfinite(found))
