"""The lanes of one precision as rows of one computation: one forward pass, one call of each side's objective, one backward pass.

Every lane keeps its own weights, buffers and order of rows; masks are drawn once, the same for all, as lockstep demands.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mlnn.arguments import first_line
from mlnn.objectives import Objective
from mlnn.objectives.promotion import promoted
from mlnn.training.batches import Rows
from mlnn.training.lane import Lane
from mlnn.training.module import check_output, copied, raw_output, squeezed
from mlnn.training.stacking.linear import RowsOfLinear
from mlnn.training.stacking.recurrent import written_out
from mlnn.training.stacking.replay import Function, Recording, recorded
from mlnn.training.step import flat
from mlnn.world import seed_streams

WIDTH = 64
"""Weights of a lane are padded to a multiple of this: the last few entries of a vector are computed by other instructions than
the rest, with other bits, and they are to be the same entries in every lane."""

WORTH = 12
"""Steps of one shape still to come from which a recording pays: it costs what 3 to 5 steps cost without one, 10 to 100 ms, and
saves 40 to 85 % of each."""
RULELESS = "setup_context"
"""What torch says of an autograd.Function as most are written."""


class UnstackableError(Exception):
    """Why lanes cannot be rows of one computation, in words."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Of every row: loss (R,), raw outputs (R, n, *positions[, m]) and the gradient (R, P)."""

    losses: Tensor
    outputs: Tensor
    gradients: Tensor


@dataclass(eq=False)
class Stack:
    """Rows of one precision.

    `sides`: which rows are asked under which objective; `template`: the module whose code they share, its
    own numbers unused, `predictor` the same in evaluation mode; `weights` (R, P): trained ones, flat, padded; `trained`: their
    names and shapes; `state`: what else a module holds (buffers, frozen weights) by name, (R, *shape) each; `parts`: micro-batches;
    `plays`: recordings, by the shapes of what they are given, None where nothing may be recorded; `uses`: how often each was met;
    `recorded`: the shapes of these that were recorded; `met`: sides, by their first row, with the
    shapes of raw outputs that they have been asked for.
    """

    sides: Sequence[tuple[slice, Objective]]
    template: nn.Module
    predictor: nn.Module
    weights: Tensor
    state: Mapping[str, Tensor]
    trained: Sequence[tuple[str, torch.Size]]
    parts: int = 1
    promotes: bool = False
    plays: dict[tuple[object, ...], Recording | None] | None = None
    uses: dict[tuple[object, ...], int] = field(default_factory=dict)
    steps: int = 0
    met: set[tuple[int, torch.Size]] = field(default_factory=set)
    recorded: set[tuple[object, ...]] = field(default_factory=set)
    REMADE: ClassVar[tuple[str, ...]] = ("plays",)
    """What is no part of a state that is kept: a recording is made again, of the shapes that were recorded."""

    @staticmethod
    def of(lanes: Sequence[Lane], sides: Sequence[tuple[slice, Objective]], records: bool) -> "Stack":
        """The rows of some lanes, in their order; the first one's module is the template."""
        first, held = lanes[0], [_held(lane) for lane in lanes]
        trained = [(name, weight.shape) for name, weight in zip(first.names, first.weights, strict=True)]
        size = sum(weight.numel() for weight in first.weights)
        weights = first.weights[0].new_zeros(len(lanes), -(-size // WIDTH) * WIDTH).detach()
        weights[:, :size] = torch.stack([flat(lane.weights) for lane in lanes])
        return Stack(
            sides,
            written_out(copied(first.module)),
            written_out(copied(first.module)).eval(),
            weights,
            {name: torch.stack([parts[name] for parts in held]) for name in held[0]},
            trained,
            first.recipe.accumulate,
            any(lane.promotes for lane in lanes),
            {} if records else None,
        )

    @cached_property
    def size(self) -> int:
        """Trained weights of a lane, without the padding."""
        return sum(self._sizes)

    @cached_property
    def _sizes(self) -> list[int]:
        return [shape.numel() for _, shape in self.trained]

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Flat weights (R, P) as one tensor (R, *shape) per weight."""
        parts = flat[:, : self.size].split(self._sizes, 1)
        return [part.view(-1, *shape) for part, (_, shape) in zip(parts, self.trained, strict=True)]

    def put_last_where_first(self, count: int) -> None:
        """Let the last `count` rows stand where the first stand."""
        if not torch.equal(self.weights[-count:], self.weights[:count]):
            self.weights = self.weights.clone()  # whoever has seen them keeps what was seen
            self.weights[-count:] = self.weights[:count]
        for part in self.state.values():
            part[-count:] = part[:count]

    def state_of(self, row: int) -> Mapping[str, Tensor]:
        """A row's parameters and buffers by name, in its module's order."""
        weights = dict(zip((told for told, _ in self.trained), self.shaped(self.weights), strict=True))
        held = {**weights, **self.state}
        return {told: held[told][row] for told in self._order}

    @cached_property
    def _order(self) -> list[str]:
        """Names of parameters and buffers in the template's order, which stays."""
        return [*dict(self.template.named_parameters()), *dict(self.template.named_buffers())]

    def answer(self, rows: Rows, seed: int | None, remaining: int = 0) -> Answers:
        """All rows' answers to their batches, x (R, n, …) and y (R, n, …), and buffers brought forward; masks from the seed, which
        is None where nothing is drawn.

        remaining: steps still to come, which decide whether recording this shape of batch pays. UnstackableError, with the reason,
        where they cannot be rows; an error of the user's own is raised again by a lane alone.
        """
        try:
            return self._answer(rows, seed, remaining)
        except UnstackableError:
            raise
        except Exception as problem:
            told = "an autograd.Function has no rule for lanes" if RULELESS in str(problem) else first_line(problem)
            raise UnstackableError(told.split(". ")[0]) from problem

    def _answer(self, rows: Rows, seed: int | None, remaining: int) -> Answers:
        self.steps += 1
        pieces = [rows] if self.parts == 1 else _parts(rows, self.parts)
        seeds = [seed, *[None] * (len(pieces) - 1)]  # the masks of later micro-batches follow those of the first
        asked = [
            (self._asked(piece, told, remaining), piece.y.shape[1] / rows.y.shape[1])
            for piece, told in zip(pieces, seeds, strict=True)
        ]
        if len(asked) == 1:
            return asked[0][0]
        return Answers(
            torch.stack([found.losses * share for found, share in asked]).sum(0),
            torch.cat([found.outputs for found, _ in asked], 1),
            torch.stack([found.gradients * share for found, share in asked]).sum(0),
        )

    def predict(self, count: int, picked: slice, x: Tensor, seed: int | None, remaining: int) -> Tensor:
        """Raw outputs (rows, n, *positions[, m]) in evaluation mode, each row's for its own inputs x (rows, n, …): those picked, of
        every `count` neighbours as one."""
        x = x.to(self.weights.dtype) if x.is_floating_point() else x
        held = (*self.shaped(self.weights), *self.state.values())
        inputs = [*(part.unflatten(0, (-1, count))[picked].flatten(0, 1) for part in held), x]
        shape = ("predict", tuple(x.shape[1:]))
        return self._called(shape, self._predict, inputs, seed, remaining)[0]

    def _predict(self, records: bool, parts: Sequence[Tensor]) -> list[Tensor]:
        count = len(self.trained)
        with torch.no_grad(), self._twin():
            forward = partial(self._forward, self.predictor, records)
            return [vmap(forward, randomness="same")(list(parts[:count]), list(parts[count:-1]), parts[-1])]

    def _asked(self, rows: Rows, seed: int | None, remaining: int) -> Answers:
        inputs = [*self.shaped(self.weights), *self.state.values(), rows.x, rows.y, *rows.extras.values()]
        names = tuple(rows.extras)
        return Answers(
            *self._called((tuple(rows.x.shape), names), partial(self._compute, names), inputs, seed, remaining)
        )

    def _called(
        self,
        shape: tuple[object, ...],
        function: Callable[[bool, Sequence[Tensor]], Sequence[Tensor]],
        inputs: list[Tensor],
        seed: int | None,
        remaining: int,
    ) -> Sequence[Tensor]:
        """`function(records, inputs)`, or its recording, with random streams from the seed; None leaves them where they stand."""
        found = self._recording(shape, partial(function, True), inputs, remaining)
        if found is not None and found.draws and seed is None:
            raise UnstackableError("random numbers are drawn, and rows have no stream of their own")
        if seed is not None and (found is None or found.draws):
            seed_streams(seed)
        if found is not None:
            return found.play(inputs)
        with _no_word_of_loops():
            return function(False, inputs)

    def _recording(
        self, shape: tuple[object, ...], function: Function, inputs: list[Tensor], remaining: int
    ) -> Recording | None:
        """The recording for a shape of batch, made where enough of its kind are still to come; None where it is not."""
        if self.plays is None:
            return None
        self.uses[shape] = self.uses.get(shape, 0) + 1
        pays = shape in self.recorded or remaining * self.uses[shape] / self.steps >= WORTH
        if shape not in self.plays and pays:
            self.recorded.add(shape)
            with _no_word_of_loops():
                self.plays[shape] = recorded(function, inputs)
        return self.plays.get(shape)

    def _compute(self, names: tuple[str, ...], records: bool, parts: Sequence[Tensor]) -> list[Tensor]:
        """[losses, outputs, gradients] of all rows, from weights, state, x, y and extras."""
        count, held = len(self.trained), len(self.state)
        weights = [part.detach().requires_grad_() for part in parts[:count]]
        state, (x, y, *others) = list(parts[count : count + held]), parts[count + held :]
        with torch.enable_grad(), self._twin():
            forward = partial(self._forward, self.template, records)
            outputs = vmap(forward, randomness="same")(weights, state, x)
            losses = torch.cat([self._losses(rows, side, outputs, y, names, others) for rows, side in self.sides])
            slopes = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
            if any(slope is None for slope in slopes):
                raise UnstackableError("the model has weights that a batch does not use")
            rows = len(losses)
            padding = losses.new_zeros(rows, self.weights.shape[1] - self.size)
            gradients = torch.cat([*(slope.reshape(rows, -1) for slope in slopes), padding], 1)
        return [losses.detach(), outputs.detach(), gradients]

    def _forward(
        self, module: nn.Module, records: bool, weights: list[Tensor], state: list[Tensor], x: Tensor
    ) -> Tensor:
        """One lane's raw outputs, as every lane has them."""
        named = dict(zip([name for name, _ in self.trained], weights, strict=True)) | dict(
            zip(self.state, state, strict=True)
        )
        with RowsOfLinear() if records else nullcontext():
            output = raw_output(lambda rows: functional_call(module, named, (rows,)), x)
        space = self.sides[0][1].targets
        return squeezed(output, space, self.sides[0][1].layout.positions).to(self.weights.dtype)

    def _losses(
        self, rows: slice, side: Objective, outputs: Tensor, y: Tensor, names: tuple[str, ...], others: list[Tensor]
    ) -> Tensor:
        check_output(outputs[0], y[0], side.targets)

        def one(output: Tensor, target: Tensor, extras: list[Tensor]) -> Tensor:
            return side.reduced(output, target, **dict(zip(names, extras, strict=True)))

        given = outputs[rows], y[rows], [part[rows] for part in others]
        met = rows.start, outputs.shape
        if met not in self.met:  # what an objective keeps of its first call is no row's part of a stack
            self.met.add(met)
            with torch.no_grad():
                one(given[0][0], given[1][0], [part[0] for part in given[2]])
        found: Tensor = vmap(one, randomness="same")(*given)
        return found.to(self.weights.dtype)

    def _twin(self) -> AbstractContextManager[object]:
        return promoted() if self.promotes else nullcontext()


@contextmanager
def _no_word_of_loops() -> Iterator[None]:
    """Without torch's warning that it has no rule for an operation, and goes through the lanes one by one: so would we."""
    torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._functorch._set_vmap_fallback_warning_enabled(True)  # type: ignore[attr-defined]


def _held(lane: Lane) -> dict[str, Tensor]:
    """What a lane's module holds besides trained weights, by name."""
    frozen = {name: part.detach() for name, part in lane.module.named_parameters() if not part.requires_grad}
    return frozen | {name: part.detach() for name, part in lane.module.named_buffers()}


def _parts(rows: Rows, count: int) -> list[Rows]:
    """Micro-batches of all lanes: each lane's rows cut as one lane alone would cut them."""
    length = rows.y.shape[1]
    share = -(-length // min(count, length))
    cuts = [slice(start, start + share) for start in range(0, length, share)]

    def cut(part: Tensor, at: slice) -> Tensor:
        return part[:, at].contiguous() if part.ndim > 1 and part.shape[1] == length else part

    return [
        Rows(cut(rows.x, at), cut(rows.y, at), {name: cut(part, at) for name, part in rows.extras.items()})
        for at in cuts
    ]
