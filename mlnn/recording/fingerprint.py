"""Fingerprints of named tensors: what two of them, made at different times and places, tell of the distance between the tensors.

Of every parameter its norm and a hash of its bits; of all together a seeded linear sketch (a count sketch in blocks: entry i of a
parameter goes to bucket i mod K, with a random sign that its block of K entries shares). The sketch of a difference is the
difference of the sketches, and its norm that of the difference, to about √(2/K) (Charikar, Chen & Farach-Colton 2002, "Finding
frequent items in data streams"). Both the sketch and the hash of a whole are the sums of those of its parts, so that shards of a
parameter, printed where they lie, add up.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlnn.recording.small import SMALL, Part, Together

K = 251
"""Buckets of a sketch. A prime: the error of a distance was 47 % with 256 where one column of a matrix was lost."""
LANES = 64
"""Words of 8 bytes that a hash weighs differently; words that lie LANES apart may change places unseen."""
BLOCKS = 256
"""Blocks of K entries that are turned into float64 at once: 0.5 MB, which stays in a cache: 11 ms for 10 million entries,
52 at once."""
WORD = 8


@dataclass(frozen=True)
class Piece:
    """A parameter as a process holds it: `name`, its whole `shape`, and from which entry on (flat) its own part of it goes;
    `counted`: whether the sketch of this process has it (of a parameter that several processes hold whole, one has)."""

    name: str
    shape: tuple[int, ...]
    start: int = 0
    counted: bool = True


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Of named tensors: `sketch` (K,) float64, of all that are counted; `norms` (P,) float64 and `hashes` (P,) int64, one a
    parameter."""

    sketch: np.ndarray
    norms: np.ndarray
    hashes: np.ndarray

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        """That of the whole, from those of its shards."""
        norms = np.sqrt(self.norms**2 + other.norms**2)
        return Fingerprint(self.sketch + other.sketch, norms, self.hashes + other.hashes)

    def scaled(self, by: float) -> "Fingerprint":
        """That of tensors multiplied by a power of two; of another number, but for the hashes."""
        return Fingerprint(self.sketch * by, self.norms * by, self.hashes)

    @property
    def norm(self) -> float:
        """Of all parameters together."""
        return float(np.sqrt((self.norms**2).sum()))

    @property
    def finite(self) -> bool:
        """Whether every entry was finite."""
        return bool(np.isfinite(self.norms).all())


class Printer:
    """Takes fingerprints of one set of parameters, again and again. `pieces`: in the order in which tensors will come."""

    def __init__(self, pieces: Sequence[Piece], device: torch.device | str = "cpu") -> None:
        self.pieces = tuple(pieces)
        self.weights = [_lanes(piece.name).to(device) for piece in pieces]
        self.turns = [int(drawn_words(piece.name, "turn", 1)[0] % K) for piece in pieces]
        self.signs: dict[int, Tensor] = {}
        self.small: dict[tuple[object, ...], Together] = {}

    @torch.no_grad()
    def of(self, tensors: Iterable[Tensor | None]) -> Fingerprint:
        """The fingerprint of tensors, one a piece, each the part that this process holds; None is all zeros."""
        found = [None if tensor is None else tensor.detach().reshape(-1) for tensor in tensors]
        device = next((tensor.device for tensor in found if tensor is not None), torch.device("cpu"))
        sketch = torch.zeros(K, dtype=torch.float64, device=device)
        hashes = torch.zeros(len(found), dtype=torch.int64, device=device)
        norms = torch.zeros(len(found), dtype=torch.float64, device=device)
        small: dict[tuple[torch.dtype, torch.device], list[int]] = {}
        for at, flat in enumerate(found):
            if flat is None or not flat.numel():
                continue
            if flat.numel() <= SMALL and flat.is_floating_point():
                small.setdefault((flat.dtype, flat.device), []).append(at)
                continue
            hashes[at] = self._hash(at, flat)
            own = flat.dtype == torch.float64 or flat.is_complex()
            norms[at] = torch.linalg.vector_norm(flat if own else flat.float())
            if self.pieces[at].counted:
                sketch += self._sketch(at, flat)
        for kind, places in small.items():
            some = [flat for at in places if (flat := found[at]) is not None]
            part, norms[places], hashes[places] = self._together(kind, places, some).of(some)
            sketch += part
        return Fingerprint(sketch.cpu().numpy(), norms.cpu().numpy(), hashes.cpu().numpy())

    def _together(self, kind: tuple[torch.dtype, torch.device], places: list[int], flat: list[Tensor]) -> Together:
        key = (*kind, *places)
        if key not in self.small:
            parts = [self._part(at, one) for at, one in zip(places, flat, strict=True)]
            self.small[key] = Together(parts, *kind, K)
        return self.small[key]

    def _part(self, at: int, flat: Tensor) -> Part:
        """A tensor's place among the small ones."""
        piece, size = self.pieces[at], flat.element_size()
        before, ahead = divmod(piece.start * size, WORD)
        room = -(ahead + flat.numel() * size) % WORD
        words = torch.arange(before, before + (ahead + flat.numel() * size + room) // WORD)
        entries = torch.arange(piece.start, piece.start + flat.numel())
        first = piece.start // K
        signs = self._signs(at, first, (piece.start + flat.numel() - 1) // K - first + 1, flat.device)
        counted = float(piece.counted)
        return Part(
            flat.numel(), ahead // size, room // size, self.weights[at].to(flat.device)[words % LANES],
            signs[entries // K - first] * counted, ((entries + self.turns[at]) % K).to(flat.device),
        )  # fmt: skip

    def _hash(self, at: int, flat: Tensor) -> Tensor:
        return _bits(flat, self.weights[at].to(flat.device), self.pieces[at].start)

    def _sketch(self, at: int, flat: Tensor) -> Tensor:
        """Σ over blocks of K entries, each with its sign, in float64."""
        if flat.is_complex():  # the imaginary numbers one place further
            return self._sketch(at, flat.real) + self._sketch(at, flat.imag).roll(1)
        first, ahead = divmod(self.pieces[at].start, K)
        found = torch.zeros(K, dtype=torch.float64, device=flat.device)
        signs = self._signs(at, first, -(-(ahead + flat.numel()) // K), flat.device)
        if ahead:
            head, flat = flat[: K - ahead], flat[K - ahead :]
            found[ahead : ahead + len(head)] += signs[0] * head.double()
            signs = signs[1:]
        whole = len(flat) // K
        for block, sign in zip(flat[: whole * K].view(-1, K).split(BLOCKS), signs[:whole].split(BLOCKS), strict=True):
            found.addmv_(block.double().T, sign)
        rest = flat[whole * K :]
        if len(rest):
            found[: len(rest)] += signs[whole] * rest.double()
        return found.roll(self.turns[at])

    def _signs(self, at: int, first: int, count: int, device: torch.device) -> Tensor:
        if at not in self.signs:
            drawn = drawn_words(self.pieces[at].name, "sign", first + count)[first:] >> np.uint64(63)
            self.signs[at] = torch.from_numpy(drawn.astype(np.float64) * 2 - 1).to(device)
        return self.signs[at]


def bits(tensors: Mapping[str, Tensor]) -> int:
    """One hash of the bits of some tensors, by name."""
    found = 0
    for name, tensor in tensors.items():
        if tensor.numel():
            found += int(_bits(tensor.detach().reshape(-1), _lanes(name).to(tensor.device), 0))
    return found % (1 << 64)


def _lanes(name: str) -> Tensor:
    """What the words of each lane are multiplied with: odd numbers (LANES,), as int64."""
    return torch.from_numpy(drawn_words(name, "word", LANES) | np.uint64(1)).view(torch.int64)


def _bits(flat: Tensor, lanes: Tensor, start: int) -> Tensor:
    """Σ over words of 8 bytes, each times the number of its lane, modulo 2^64; `start`: the place of the first entry."""
    size = flat.element_size()
    before, ahead = divmod(start * size, WORD)
    room = -(ahead + flat.numel() * size) % WORD
    if ahead or room or flat.storage_offset() * size % WORD:
        flat = torch.cat([flat.new_zeros(ahead // size), flat, flat.new_zeros(room // size)])
    words = flat.view(torch.int64)
    whole = len(words) // LANES * LANES
    sums = words[:whole].view(-1, LANES).sum(0)
    sums[: len(words) - whole] += words[whole:]
    return (sums * lanes.roll(-(before % LANES))).sum()


def drawn_words(name: str, purpose: str, count: int) -> np.ndarray:
    """`count` random words (uint64), the same for a name and purpose wherever they are drawn.

    SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"): the word of a place needs no other.
    """
    seed = np.frombuffer(hashlib.sha256(f"{purpose}:{name}".encode()).digest()[:8], "<u8")[0]
    with np.errstate(over="ignore"):
        z = seed + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def distance(one: Fingerprint, two: Fingerprint) -> float:
    """‖two − one‖ of all counted tensors, to about 5 %; 0 means that the sketches are the same."""
    return float(np.linalg.norm(two.sketch - one.sketch))


def factor(one: Fingerprint, two: Fingerprint) -> float:
    """c of the least ‖two − c·one‖; NaN where `one` is zero."""
    size = float(one.sketch @ one.sketch)
    return float(one.sketch @ two.sketch) / size if size else float("nan")


def same_bits(one: Fingerprint, two: Fingerprint) -> bool:
    """Whether all hashes are equal."""
    return bool(np.array_equal(one.hashes, two.hashes))


def named(fingerprint: Fingerprint, names: Sequence[str]) -> Mapping[str, float]:
    """Norms by parameter."""
    return dict(zip(names, fingerprint.norms.tolist(), strict=True))
