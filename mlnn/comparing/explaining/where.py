"""Where two objectives differ: the entry with the largest share of the gap, and the region that the gap is confined to, if it is.

Asked of the gradients in the raw outputs, entry by entry, in float64, after the best common factor. A region is named only
where all of the gap lies inside it and none outside, though there are entries outside that have a gradient of their own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.sample import Sample, answer
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

NOTHING = 1e-9
"""Of an entry's own gradient (and of no less than a millionth of the largest): a gap up to this is none. Rounding leaves 1e-15
to 1e-11 there; a fault confined to a region is far larger inside it."""
CLEAN = 1e-11
"""An entry outside a region is off by no more than this; one in between belongs to a gap that fades, and confines it to nothing."""
FAINT = 1e-6
"""Entries whose gradients are below this share of the largest are measured against it, for they are what rounding leaves."""
FEWEST = 3
"""A bound on a number (a probability, a position) is named only with this many rows or positions on either side of it."""
SHARE = 0.1
"""A factor that so large a share of the entries have is one; those of a single row may share one by themselves."""
LITTLE = 0.01
"""A share below this is not told in digits."""
SAME_RATIO = 1e-9
"""Entries whose gradients have the same ratio, to this, share a factor."""


@dataclass(frozen=True)
class Place:
    """The entry with the largest share of the gap. `row`: its number in the data, or in a batch that was drawn; `probability`:
    what the link makes of the entry (of a class: its own), where outputs mean probabilities; `region`: what the gap is
    confined to, in words, apart from a `factor` that the other entries share.
    """

    row: int
    output: float
    share: float
    position: tuple[int, ...] = ()
    entry: int | None = None
    target: float | None = None
    probability: float | None = None
    region: str | None = None
    factor: float = 1.0

    def to_dict(self) -> dict[str, object]:
        """Plain data, under the names of `Verdict.where`; what does not apply is left out."""
        position: object = list(self.position) if len(self.position) > 1 else next(iter(self.position), None)
        told = {
            "row": self.row, "position": position, "class": self.entry, "output": self.output, "target": self.target,
            "probability": self.probability, "share": self.share, "region": self.region,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}


def locate(left: Objective, right: Objective, sample: Sample, targets: TargetSpace, parts: int = 1) -> Place | None:
    """Where two objectives differ on a batch; None where they do not, or one of them is not finite there.

    parts: micro-batches that the right lane accumulates over, which a gap may be confined to.
    """
    sample = sample.to(torch.float64)
    one, two = answer(left, sample)[1], answer(right, sample)[1]
    if not bool(torch.isfinite(one).all() and torch.isfinite(two).all()):
        return None
    factor = common_factor(one, two)
    gap = (two - factor * one).abs()
    size = torch.maximum(one.abs(), two.abs())
    apart = gap > NOTHING * size.clamp_min(FAINT * float(size.max()))
    if not bool(apart.any()):
        return None
    asked = size > 0  # an entry that neither side has a gradient in says nothing
    fading = ~apart & (gap > CLEAN * size.clamp_min(FAINT * float(size.max())))
    regions = () if bool(fading.any()) else _regions(sample, targets, parts, apart, asked)
    region = next(iter(regions), None)
    return replace(_place(sample, targets, gap, region), factor=factor if abs(factor - 1) > SAME_RATIO else 1.0)


def common_factor(one: Tensor, two: Tensor) -> float:
    """The factor between two gradients: 1 where a good share of the entries are the same, else the one that most of them share,
    else the best one (1 if that is not positive)."""
    usable = one.abs() > FAINT * float(one.abs().max())
    if not bool(usable.any()):
        return 1.0
    ratios = (two[usable] / one[usable]).sort().values
    enough = max(FEWEST, SHARE * len(ratios))
    ratios = ratios[ratios > 0]
    ends = torch.searchsorted(ratios, ratios * (1 + SAME_RATIO), right=True)
    shared = ends - torch.arange(len(ratios))  # how many entries have this ratio
    same = int(((ratios - 1).abs() <= SAME_RATIO).sum())
    if same >= enough:
        return 1.0
    if len(ratios) and int(shared.max()) >= enough:
        at = int(shared.argmax())
        return float(ratios[at : int(ends[at])].median())
    best = float((one * two).sum() / (one * one).sum())
    return best if best > 0 else 1.0


def clause(place: Place) -> str:
    """A sentence: the region, and the entry with the largest share."""
    at = f"row {place.row}"
    if place.position:
        at += f", position {', '.join(map(str, place.position))}"
    if place.entry is not None:
        at += f", class {place.entry}"
    told = f"raw output {place.output:.4g}"
    if place.probability is not None:
        told += f", probability {place.probability:.2g}"
    if place.target is not None:
        told += f", target {place.target:g}"
    share = f"{place.share:.0%}" if place.share >= LITTLE else f"under {LITTLE:.0%}"
    largest = f"largest share, {share}, is in {at} ({told})."
    apart = "" if place.factor == 1 else f"apart from a factor of {place.factor:.6g}, "
    if place.region:
        return f"{(apart + 'the gap')[0].upper()}{(apart + 'the gap')[1:]} is confined to {place.region}; its {largest}"
    return f"{apart[:1].upper()}{apart[1:]}{'the' if apart else 'The'} gap's {largest}"


def _place(sample: Sample, targets: TargetSpace, gap: Tensor, region: str | None) -> Place:
    shares = gap.square() / gap.square().sum()
    at = torch.unravel_index(shares.argmax(), shares.shape)
    place = tuple(int(one) for one in at)
    row, inner = place[0], place[1:]
    spread = _spread(sample, targets)
    position, entry = (inner[:-1], inner[-1]) if spread else (inner, None)
    target = sample.target[(row, *position)]
    probability = _probability(sample.output, targets)
    return Place(
        row=int(sample.rows[row]) if sample.rows is not None else row,
        output=float(sample.output[place]),
        share=float(shares[place]),
        position=position,
        entry=entry,
        target=float(target) if target.ndim == 0 else None,
        probability=None if probability is None else float(probability[place]),
        region=region,
    )


def _probability(output: Tensor, targets: TargetSpace) -> Tensor | None:
    """What the link makes of raw outputs, entry by entry, where it makes probabilities of them."""
    if targets.facts.means != (0.0, 1.0):
        return None
    found = targets.link(output)
    return found if found.shape == output.shape else None


def _regions(sample: Sample, targets: TargetSpace, parts: int, apart: Tensor, asked: Tensor) -> Iterator[str]:
    """In words, the regions that hold all entries that are apart and none of the others that were asked; the plainest first."""
    shape = apart.shape
    inside, outside = apart & asked, ~apart & asked
    if not bool(outside.any()):
        return
    rows = torch.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
    spread, labelled = _spread(sample, targets), targets.labels and targets.outputs == targets.classes
    cells = [
        mask.any(-1) if spread else mask for mask in (inside, outside)
    ]  # a row's entries share much, and count as one
    told = partial(_bound, inside, outside, all(int(one.sum()) >= FEWEST for one in cells))
    if targets.finite:
        label = (sample.target[..., None] if spread else sample.target).expand(shape)
        what = "ignored " + ("rows" if sample.target.ndim == 1 else "positions")
        names = {} if targets.ignore is None else {targets.ignore: what}
        yield from _values(
            label, inside, outside, "targets of class {:g}" if targets.labels else "targets of {:g}", names
        )
    if parts > 1:
        sizes = torch.arange(shape[0]).chunk(parts)
        chunk = torch.cat([torch.full_like(one, number) for number, one in enumerate(sizes)])
        names = {len(sizes) - 1: "the last micro-batch"}
        yield from _values(chunk[rows], inside, outside, "micro-batch {:g}", names)
    yield from _values(rows, inside, outside, "", {0: "the first row", shape[0] - 1: "the last row"})
    for axis in range(1, len(shape) - spread):
        place = torch.arange(shape[axis]).reshape(*[-1 if axis == k else 1 for k in range(len(shape))]).expand(shape)
        yield from _from_on(place, inside, outside)
    if spread:
        entry = torch.arange(shape[-1]).expand(shape)
        yield from _values(entry, inside, outside, "the outputs of class {:g}" if labelled else "output {:g}")
        if labelled:
            own = (entry == sample.target[..., None]).double()
            yield from _values(
                own, inside, outside, "", {1: "the target's own outputs", 0: "the outputs of other classes"}
            )
    probability = _probability(sample.output, targets)
    if probability is not None:
        yield from told(probability.double(), "probabilities")
        if spread and labelled:
            mine = probability.gather(-1, sample.target[..., None].clamp_min(0)).expand(shape)
            yield from told(mine.double(), "targets with a probability")
    yield from told(sample.output.double(), "raw outputs")
    yield from told(sample.output.abs().double(), "raw outputs of a size")
    if targets.whole_line and not spread:
        yield from told((sample.output - sample.target).abs().double(), "residuals of a size")


def _spread(sample: Sample, targets: TargetSpace) -> bool:
    """Whether a position has several raw outputs, on an axis of their own."""
    return sample.output.ndim > sample.target.ndim - len(targets.event)


def _values(
    what: Tensor, inside: Tensor, outside: Tensor, words: str, names: dict[int, str] | None = None
) -> Iterator[str]:
    """The one value that all entries inside have and none outside."""
    found = what[inside].unique()
    if len(found) == 1 and not bool((what[outside] == found[0]).any()):
        value = float(found[0])
        name = (names or {}).get(int(value))
        if name or words:
            yield name or words.format(value)


def _from_on(place: Tensor, inside: Tensor, outside: Tensor) -> Iterator[str]:
    """The position from which on, or up to which, all entries inside lie."""
    one, two = place[inside], place[outside]
    if int(one.min()) > int(two.max()):
        yield f"positions from {int(one.min())} on"
    elif int(one.max()) < int(two.min()):
        yield f"positions up to {int(one.max())}"


def _bound(inside: Tensor, outside: Tensor, enough: bool, what: Tensor, words: str) -> Iterator[str]:
    """A bound that parts the entries inside from those outside, with enough on either side."""
    one, two = what[inside], what[outside]
    if not enough:
        return
    if float(one.max()) < float(two.min()):
        yield f"{words} below {_round_between(float(one.max()), float(two.min()))}"
    elif float(one.min()) > float(two.max()):
        yield f"{words} above {_round_between(float(two.max()), float(one.min()))}"


def _round_between(low: float, high: float) -> str:
    """The number with the fewest digits between two."""
    if low > 0:
        ten = 10.0 ** math.ceil(math.log10(low))
        if low < ten < high:
            return f"{ten:g}"
    for digits in range(1, 17):
        for number in (low, (low + high) / 2, high):
            told = f"{number:.{digits}g}"
            if low < float(told) < high:
                return told
    return f"{high:.17g}"
