"""What a stored proof claims beside its boxes: that they cover its targets, its domain and its tolerance, and are of its two sides.

Nothing of the prover is imported. The words that a claim is made in are those of `Proof`: they are read again here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp

from mlnn.errors import DataError
from mlnn.proving.replay_door import FARTHEST
from mlnn.proving.replay_inner import INNER, inner_off, numbers_in, reach
from mlnn.proving.replay_plane import COVERS, rectangle_off, tied_rectangle
from mlnn.proving.replay_sides import DIGITS, PER_UNIT
from mlnn.proving.replay_ties import (
    COUNTED,
    ENDLESS,
    GRADIENT,
    MOST,
    NARROW,
    ODDS,
    RAW,
    RESIDUAL,
    TERMS,
    VALUE,
    added_up,
    named,
    power_in,
    power_of,
    soft_labels,
    targets_in,
    tied,
)
from mlnn.visible import shown


def checked_claim(found: Mapping[str, Any]) -> Iterator[str | bool | None]:
    """None of what holds, words of what does not, False of what there is nothing to check of. found: a proof as plain data, its
    paper already admitted. Raises DataError for what is no proof."""
    _shape(found)
    parts = [part for part in found["paper"] if "questions" in part]
    if found["answer"] != "proved":
        yield _not_proved(found, parts)
        return
    sides = [part for part in found["paper"] if part.get("kind") == "sides"]
    if len(sides) != 1:
        yield f"claimed: proved; {len(sides)} records of the two sides, so nothing ties boxes to them"
        return
    yield (
        None
        if found["relation"] == "equal" and not found.get("shift")
        else f"claimed: proved, and related by '{shown(str(found['relation']), 40)}'"
    )
    problem = _sides_off(found, sides[0]) or _parts_off(found, parts, sides[0])
    yield problem
    if problem is None:
        with mp.workdps(
            DIGITS + int(PER_UNIT * max(abs(float(end)) for part in parts for end in map(Fraction, part["domain"])))
        ):
            for part in parts:
                yield from _boxes_off(found, part)
                yield from tied(found, part, sides[0])
            for part in found["paper"]:
                yield from tied_rectangle(part, sides[0]) if part.get("kind") == "rectangle" else ()
            yield from soft_labels(found, sides[0])
            yield from added_up(parts, sides[0])


def _shape(found: Mapping[str, Any]) -> None:
    fine = (
        found.get("answer") in ("proved", "differs", "undecided")
        and all(isinstance(found.get(key), str) for key in ("targets", "variable"))
        and isinstance(found.get("relation"), str | None)
        and isinstance(found.get("scale"), str | None)
        and all(isinstance(found.get(key), list | tuple) for key in ("domain", "points"))
        and all(_is_number(one) for one in (*found["domain"], found.get("tolerance")))
        and all(isinstance(one, list | tuple) and len(one) == 2 and _is_number(one[0]) for one in found["points"])
    )
    if not fine or len(found["domain"]) != 2 or not found["tolerance"] > 0:
        raise DataError(
            "a stored proof: answer, relation, domain, tolerance, targets, variable and points belong in it"
        )


def _is_number(one: object) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) and abs(one) <= FARTHEST


def _not_proved(found: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> str | bool | None:
    """A difference has a box; what is undecided, or a matter of batches, claims nothing of boxes."""
    if found["answer"] == "undecided" or found["scale"] in ("n", "1/n"):
        return False
    said = {VALUE: ("differs", "point"), GRADIENT: ("differs",)}
    asked = [one for part in parts for one in part["questions"]]
    differs = any(box[2] in said.get(one["name"], ()) for one in asked for box in one["boxes"])
    apart = found["relation"] == "shifted" and any(TERMS.fullmatch(part["target"]) for part in parts)
    if found["relation"] != "equal" and (differs or apart):  # terms of the target alone have no boxes
        return None
    return "claimed: differs; no box says so"


def _sides_off(found: Mapping[str, Any], sides: Mapping[str, Any]) -> str | None:
    """How the record of both sides is none of what is claimed."""
    if [Fraction(end) for end in sides["domain"]] != [Fraction(end) for end in found["domain"]]:
        return f"claimed: the domain {list(found['domain'])}; the two sides are recorded on {sides['domain']}"
    if Fraction(sides["tolerance"]) != Fraction(found["tolerance"]):
        return f"claimed: the tolerance {found['tolerance']}; the two sides are recorded with {sides['tolerance']}"
    tied_to = (RESIDUAL if sides["residual"] else None, INNER if numbers_in(sides) else None)
    own = found["variable"] if found["variable"] in (RESIDUAL, INNER) else None
    if {*tied_to} - {None} != {own} - {None} or found["variable"] not in (RAW, RESIDUAL, ODDS, INNER):
        return f"claimed: of the variable '{shown(found['variable'], 40)}'; the two sides are recorded of another"
    return None


def _parts_off(found: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], sides: Mapping[str, Any]) -> str | None:
    """Targets, tolerances and domains that the boxes do not cover as it is claimed."""
    claim, names = found["targets"], [part["target"] for part in parts]
    told = [named(pair) for pair in sides["pairs"]]
    counted = COUNTED.fullmatch(claim)
    if counted:
        several = 2 if counted[1] == "both" else int(counted[2])
        if not len(told) == len(set(told)) == several:
            return f"claimed: {claim}; {len(set(told))} are recorded"
        missing = set(told) - {one for part in parts for one in targets_in(part, told)}
        if missing or len(names) != len(set(names)):
            return f"claimed: {claim}; of {', '.join(sorted(missing)) or 'some'} there are no boxes, or twice"
        strict = [Fraction(part["tolerance"]) <= Fraction(found["tolerance"]) for part in parts]
    else:
        if not ENDLESS.fullmatch(claim) or any(pair[1:] != sides["pairs"][0][1:] for pair in sides["pairs"]):
            return f"claimed: '{shown(claim, 60)}'; the two sides are recorded for {', '.join(told)} alone"
        strict = [claim == COVERS or _endless_covered(claim, parts, sides, Fraction(found["tolerance"]))]
    problem = inner_off(sides, parts, power_in) or (rectangle_off(found, parts) if claim == COVERS else None)
    if problem:
        return problem
    if not all(strict):
        return f"claimed: {claim} to {found['tolerance']}; boxes are of other targets, or of a wider tolerance"
    low, high = _reach(found, sides)
    outside = [
        part["target"] for part in parts if Fraction(part["domain"][0]) > low or Fraction(part["domain"][1]) < high
    ]
    return f"claimed: the domain {list(found['domain'])}; boxes of {outside[0]} are of another" if outside else None


def _endless_covered(
    claim: str, parts: Sequence[Mapping[str, Any]], sides: Mapping[str, Any], tolerance: Fraction
) -> bool:
    """Whether boxes are of every target: by one function, or by those that are times the powers of the target, each once; without
    an end of targets that are no larger than 1."""
    powers = {
        power_of(part["target"]): Fraction(part["tolerance"]) for part in parts if TERMS.fullmatch(part["target"])
    }
    if powers:
        largest = MOST if claim.endswith(str(MOST)) else 1
        whole = sorted(powers) == [*range(len(parts))]
        whole &= largest == MOST or all(abs(Fraction(pair[0])) <= 1 for pair in sides["pairs"])
        return whole and sum(one * largest**power for power, one in powers.items()) <= tolerance
    every = [part for part in parts if part["target"] == "every target"]
    return len(every) == 1 and Fraction(every[0]["tolerance"]) <= tolerance and not claim.endswith(str(MOST))


def _reach(found: Mapping[str, Any], sides: Mapping[str, Any]) -> tuple[Fraction, Fraction]:
    """The interval that boxes have to cover."""
    low, high = (Fraction(end) for end in found["domain"])
    numbers = numbers_in(sides)
    if numbers is not None:
        return reach(numbers, (low, high))
    if found["variable"] != ODDS:
        return low, high
    others = Fraction(str(mp.log(max(len(sides["pairs"][0][2]) - 1, 1))))
    slack = Fraction(1, 10**12)
    return low - high - others + slack, high - low - others - slack


def _boxes_off(found: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str | None]:
    """Boxes of values and gradients that are none of equality, but for places that are told."""
    for question in part["questions"]:
        if question["name"] not in (VALUE, GRADIENT):
            continue
        boxes = sorted(question["boxes"], key=lambda box: (Fraction(box[0]), Fraction(box[1])))
        beside = [None, *(box[2] for box in boxes), None]
        for number, (low, high, answer, _) in enumerate(boxes):
            ends = Fraction(low), Fraction(high)
            place = ends[1] - ends[0] <= NARROW * max(Fraction(1), abs(ends[0]))
            told = any(
                abs(Fraction(one) - ends[0]) <= NARROW * max(Fraction(1), abs(ends[0])) for one, _ in found["points"]
            )
            void = answer == "void" or (answer == "open" and place and "void" in (beside[number], beside[number + 2]))
            if (
                answer != "equal"
                and not (answer == "point" and question["name"] == GRADIENT and place and told)
                and not void
            ):
                yield f"claimed: proved; {question['name']} at {part['target']} on [{low}, {high}]: {answer}"
