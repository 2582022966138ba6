"""What two recordings are to each other, in sentences: the relation, the number it rests on, and what differs with it."""

import math
from collections.abc import Sequence

from mlnn.recording.differing.aligning import Pair, remarks
from mlnn.recording.differing.batches import reshaped
from mlnn.recording.differing.judging import Ground, Judgement, Parting
from mlnn.recording.differing.records import ParameterApart, Row, Setting
from mlnn.recording.differing.relating import Related
from mlnn.visible import shown

MOST_TOLD = 4


def sentence(
    pair: Pair,
    rows: Sequence[Row],
    judgement: Judgement,
    told: Related,
    ground: Ground,
    settings: Sequence[Setting],
    parameters: Sequence[ParameterApart],
) -> str:
    """The whole of it in a few sentences."""
    parting = judgement.parting
    parts = [_head(rows, judgement, told)]
    if parting is not None:
        parts += [_measured(parting, told), _with_it(pair, parting, told, settings), _where(parting, parameters)]
    else:
        parts += [
            _as_far(rows, judgement, ground),
            _set_otherwise(settings),
            _rows_word(rows),
            _unexplained(rows, settings),
        ]
    parts += [f"{note[0].upper()}{note[1:]}." for note in pair.notes()]
    parts += [f"{note[0].upper()}{note[1:]}." for note in remarks(pair, _end(parting))[:MOST_TOLD]]
    parts += _findings(pair)
    return " ".join(part for part in parts if part)


def _head(rows: Sequence[Row], judgement: Judgement, told: Related) -> str:
    steps = f"all {len(rows)} steps" if len(rows) > 1 else "the one step"
    parting = judgement.parting
    if told.relation == "undecided":
        return f"Undecided, because {told.because}."
    if told.relation == "bitwise":
        return f"The same training, bit for bit, in {steps} that both have."
    if parting is None:
        word = "equal" if told.relation == "equal" else "indistinguishable"
        far = ", as far as it can be told," if judgement.horizon or judgement.broke or not judgement.judged else ""
        return f"The same training to rounding ({word}){far} in {steps} that both have."
    if told.relation == "scaled":
        what = "loss" if parting.why == "loss alone" else "gradient"
        return f"B's {what} is A's times {told.scale:.6f}, from step {_step(parting)} on."
    if told.relation == "shifted":
        return f"The losses differ from step {_step(parting)} on and the gradients do not: the same training, another number."
    return _parted(parting, told)


def _parted(parting: Parting, told: Related) -> str:
    if parting.row is None:
        return "Different trainings: the weights differ before the first step."
    if parting.why == "not finite":
        fine, bad = ("A", "B") if parting.row.finite[0] else ("B", "A")
        return f"At step {_step(parting)} the {parting.stage} of {bad} is not finite, and that of {fine} is."
    if parting.why == "skipped":
        side, why = ("A", parting.row.skipped[0]) if parting.row.skipped[0] else ("B", parting.row.skipped[1])
        return f"Step {_step(parting)} was left out by {side} alone: {shown(why, 200)}."
    if parting.why == "factor":
        first = told.because.format(scale=f"{parting.scale:.6f} at step {_step(parting)}")
        return f"Different trainings: B's gradient {first}."
    verb = "are" if parting.stage == "weights" else "is"
    return f"Different trainings from step {_step(parting)} on: the {parting.stage} {verb} the first to differ."


def _end(parting: Parting | None) -> int | None:
    return parting.row.step if parting is not None and parting.row is not None else None


def _step(parting: Parting) -> str:
    row = parting.row
    if row is None:
        return "0"
    return str(row.step) if row.step == row.other else f"{row.step} of A ({row.other} of B)"


def _measured(parting: Parting, told: Related) -> str:
    """The numbers at the parting."""
    row = parting.row
    if row is None:
        return f"They are {parting.size:.2g} apart, relative to their norm; rounding explains {parting.allowed:.2g}."
    if parting.relation == "broken":
        return ""
    found = []
    if row.loss is not None and not row.loss.same:
        near = f", {row.loss.distance:.2g} apart" if row.loss.distance < 1e-3 else ""
        found.append(f"the losses are {row.losses[0]:.6g} and {row.losses[1]:.6g}{near}")
    if row.gradient is not None:
        found.append(_gradient(row, told))
    if parting.stage == "weights" and row.update is not None and row.moved > 0 and not row.update.same:
        found.append(f"what the step added to the weights differs by {row.update.distance:.2g} of its size")
    if not math.isnan(parting.allowed):
        found.append(f"rounding explains {parting.allowed:.2g}")
    return f"There {_listed(found)}." if found else ""


def _gradient(row: Row, told: Related) -> str:
    part = row.gradient
    assert part is not None
    if part.same:
        return "the gradients have the same bits"
    if told.relation == "scaled" and part.distance > part.residual and f"{part.factor:.6f}" != "1.000000":
        return f"the gradients are {part.residual:.2g} apart once the factor {part.factor:.6f} is taken out"
    turned = ", and point the other way" if part.factor < 0 else ""
    return f"the gradients are {part.distance:.2g} apart{turned}"


def _with_it(pair: Pair, parting: Parting, told: Related, settings: Sequence[Setting]) -> str:
    """What was found together with the difference: what was given, drawn, set."""
    row = parting.row
    if row is None:
        return ""
    one, two = next((a, b) for a, b in pair.shared if a.step == row.step)
    if parting.why == "rows":
        given = reshaped(one, two)
        return f"It was given other rows{': ' + given if given else ''}."
    if parting.why == "streams":
        names = ", ".join(map(shown, row.streams[:MOST_TOLD]))
        return (
            f"The rows were the same and the random state was not ({names}): where the model draws random numbers (dropout), that"
            " alone makes such a difference."
        )
    if parting.why in ("rates", "optimiser"):
        return _of_the_step(parting, one.rates, two.rates, settings)
    if told.relation == "scaled" and parting.row:
        return _of_the_factor(parting.row, told, parting, pair)
    if parting.why == "loss alone":
        return "What depends on the targets alone, or on no weight, has no gradient."
    if parting.stage == "loss" and row.batch == "same":
        return "The rows and their order were the same; what the loss alone is given (targets) is not recorded."
    return {"same": "The rows and their order were the same.", "reordered": "The rows were the same, in another order.",
            "recut": "The rows were the same, cut into other micro-batches."}.get(row.batch, "")  # fmt: skip


def _of_the_step(parting: Parting, one: Sequence[float], two: Sequence[float], settings: Sequence[Setting]) -> str:
    """Rates and settings of the optimiser, which make another step of one gradient."""
    found = []
    if parting.why == "rates":
        rates = [", ".join(f"{rate:.6g}" for rate in sorted(set(side))) for side in (one, two)]
        found.append(f"The learning rates are {rates[0]} in A and {rates[1]} in B.")
    apart = _several([setting.words() for setting in settings if setting.told and not setting.what.startswith("lr")])
    if apart:
        found.append(f"Set otherwise: {apart}.")
    return " ".join(found) or (
        "Learning rates and settings are the same, so that the optimiser's own state differs (momentum that was not carried over),"
        " or its code."
    )


def _several(words: Sequence[str]) -> str:
    """The first few of them."""
    return ", ".join(words[:MOST_TOLD]) + (f" and {len(words) - MOST_TOLD} more" if len(words) > MOST_TOLD else "")


def _set_otherwise(settings: Sequence[Setting]) -> str:
    """Settings of the optimiser from which no difference has come that could be told."""
    apart = _several([setting.words() for setting in settings if setting.steers])
    return f"Set otherwise, by which the weights are moved no more than can be told: {apart}." if apart else ""


def _of_the_factor(row: Row, told: Related, parting: Parting, pair: Pair) -> str:
    """Micro-batches whose losses were added up, and other ways to a factor, as far as the recordings tell them."""
    if parting.why == "loss alone":
        return "The gradients that the optimiser found are the same: clipping, or dividing later, hides a factor."
    after = ""
    if parting.stage == "gradient":
        after = "The losses are the same: gradients were clipped, or scaled after the backward pass"
        after += "." if told.stays else "; no later step can tell whether the factor stays."
    one, two = row.cut
    ranks = pair.a.settings.ranks, pair.b.settings.ranks
    ratio = (two / ranks[1]) / (one / ranks[0]) if one and two else 1.0
    if one == two or row.batch in ("same", "other") or abs(told.scale / ratio - 1) > 1e-3:
        return after
    said = row.loss is not None and row.losses[0] and abs(row.losses[1] / row.losses[0] / ratio - 1) < 1e-3
    cut = f"A makes a step of {one} micro-batch{'es' * (one > 1)} and B of {two}"
    if not said:
        return f"{cut}, and its gradient is larger by just that ratio, though the sum of its losses is not."
    if two > one:
        return f"{cut}, and B's losses are added up as they are: they were not divided by the number of micro-batches."
    return f"{cut}, and A's losses are added up as they are: they were not divided by the number of micro-batches."


def _where(parting: Parting, parameters: Sequence[ParameterApart]) -> str:
    """Which parameters differ, if it is only some of them."""
    if parting.stage not in ("gradient", "weights", "loss") or parting.relation == "scaled":
        return ""
    apart = [one for one in parameters if not one.same]
    if not apart or len(apart) == len(parameters):
        return ""
    names = ", ".join(f"'{shown(one.name)}'" for one in apart[:MOST_TOLD])
    more = f" and {len(apart) - MOST_TOLD} more" if len(apart) > MOST_TOLD else ""
    return f"Bits differ in {names}{more} alone, of {len(parameters)} parameters."


def _as_far(rows: Sequence[Row], judgement: Judgement, ground: Ground) -> str:
    """What the largest distances were, against what, and up to where."""
    if all(row.same for row in rows) and ground.start.same and ground.alike:
        return ""
    gradients = [(row.gradient.distance, row) for row in judgement.judged if row.gradient is not None]
    found = []
    if gradients:
        size, row = gradients[0]
        first = f"{size:.2g}" if size else "no bit"
        found.append(f"At step {row.step} the gradients are {first} apart; {ground.yardstick.words(row.step)}.")
    last = next((row for row in reversed(rows) if row.weights is not None), None)
    if last is not None and last.weights is not None and len(rows) > 1:
        found.append(f"The weights are {last.weights.distance:.2g} apart after step {last.step}.")
    late = judgement.judged[-1] if judgement.judged else None
    if late is not None and late.before and not judgement.broke:
        allowed = ground.yardstick.allowed(late.step, late.before)
        found.append(f"A difference that began at step {late.step} would be told from {allowed:.1g} on.")
    if judgement.kinks:
        found.append(f"At step {judgement.kinks[0].step} alone a kink was crossed.")
    if judgement.horizon:
        found.append(f"From step {judgement.horizon.step} on rounding has grown too far to tell a difference from it.")
    if judgement.broke:
        found.append(f"From step {judgement.broke.step} on both are not finite, which says nothing.")
    return " ".join(found)


def _rows_word(rows: Sequence[Row]) -> str:
    words = {row.batch for row in rows}
    found = []
    if words & {"reordered", "recut", "other"}:
        told = {"reordered": "in another order", "recut": "cut into other micro-batches"}
        what = " and ".join(told[word] for word in told if word in words)
        found += [f"The rows were the same, {what}."] if what else []
        found += (
            ["What the model was given has other bits or another form, without an effect."] if "other" in words else []
        )
    skipped = [row.step for row in rows if row.skipped[0]]
    if skipped:
        found.append(f"Both left out step {', '.join(map(str, skipped[:MOST_TOLD]))} alike.")
    return " ".join(found)


def _unexplained(rows: Sequence[Row], settings: Sequence[Setting]) -> str:
    """What was computed otherwise, though all that went in had the same bits."""
    first = next((row for row in rows if not row.same), None)
    if first is None or first.before or first.batch != "same" or first.streams or settings or first.gradient is None:
        return ""
    return (
        f"Weights, rows, random state and environment of step {first.step} had the same bits, and what came out has not: the"
        " computation is another one by no more than rounding, or one that does not repeat itself."
    )


def _findings(pair: Pair) -> list[str]:
    """What the processes of one recording do not agree about."""
    return [
        f"In {name}, {found[0]}{f' (and at {len(found) - 1} more places)' if len(found) > 1 else ''}."
        for name, found in (("A", pair.a.findings), ("B", pair.b.findings))
        if found
    ]


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])}, and {parts[-1]}" if len(parts) > 1 else parts[0]
