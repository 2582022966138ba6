"""Two losses of soft labels on the rectangle of raw outputs and labels: asked once, before lines through it or beside them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flint import fmpq

from mlnn.proving.boxes import VALUE
from mlnn.proving.cases import AT_KINKS, GRADIENT, Cases
from mlnn.proving.decided import Found, decided, without_slopes
from mlnn.proving.graph import Graph
from mlnn.proving.rows import Side, Target
from mlnn.proving.surface import Surface, edges_of, on_surface
from mlnn.targets import TargetSpace


@dataclass
class OnRectangle:
    """What boxes of raw outputs and labels say, asked once."""

    graph: Graph
    ends: tuple[fmpq, fmpq]
    close: fmpq
    boxes: int
    slopes: bool
    _asked: bool = False
    _wide: Surface | None = None
    _found: Found | None = None

    @property
    def wrong(self) -> Cases | None:
        """The labels at which a side's own gradient is no slope."""
        return None if self._wide is None else self._wide.wrong

    def proved(self, sides: Mapping[Target, tuple[Side, Side]], space: TargetSpace) -> Found | None:
        """Equality on the rectangle, if that is what they say; asked before lines through it, which can only refute."""
        self._ask(sides, space)
        return self._found if self._found is not None and self._found.answers == {"proved"} else None

    def beside(self, sides: Mapping[Target, tuple[Side, Side]], space: TargetSpace, before: Found) -> Found:
        """What was found before, unless that settles nothing and they say more."""
        if before.settled:
            return before
        self._ask(sides, space)
        looks = before.looks + (0 if self._wide is None else self._wide.looks)
        if self._found is None:
            return replace(before, looks=looks)
        return replace(self._found, looks=before.looks + self._found.looks)

    def _ask(self, sides: Mapping[Target, tuple[Side, Side]], space: TargetSpace) -> None:
        if self._asked:
            return
        self._asked = True
        edges = edges_of(self.graph, sides, space)
        if edges is None or self._differs(edges, found := self._decided(edges)):
            return
        self._wide = wide = on_surface(self.graph, sides, space, self.ends, self.close, self.boxes, self.slopes)
        if wide is not None and wide.paper is not None and found.answers == {"proved"}:
            self._found = self._whole(wide, found)
        for way in () if wide is None else wide.lines:
            if self._differs(way, self._decided(way)):
                return

    def _differs(self, way: Cases, found: Found) -> bool:
        """Whether labels by themselves show a difference, which is noted."""
        sizes = [one.size for one in found.parts if one.answer == "differs" and one.question in (VALUE, GRADIENT)]
        # Of an endless size log 0 may be a case of its own.
        if not sizes or not all(size is not None and size[0] < math.inf for size in sizes):
            return False
        told = replace(way, covers=", ".join(case.target for case in way.cases), whole=False)
        looks = found.looks + (0 if self._wide is None else self._wide.looks)
        self._found = replace(found, way=told, related=None, looks=looks)
        return True

    def _whole(self, wide: Surface, edges: Found) -> Found:
        assert wide.paper is not None
        wrong = None if wide.wrong is None else self._decided(wide.wrong)
        parts, paper = (wrong.parts, wrong.paper) if wrong is not None else ((), ())
        return replace(
            edges,
            way=replace(edges.way, note=AT_KINKS if wide.kinked else None),
            parts=(*wide.parts, *edges.parts, *parts),
            looks=wide.looks + edges.looks + (wrong.looks if wrong is not None else 0),
            paper=(wide.paper, *edges.paper, *paper),
        )

    def _decided(self, way: Cases) -> Found:
        return decided(way if self.slopes else without_slopes(way), self.ends, self.close, self.boxes)
