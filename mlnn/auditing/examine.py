"""Is exp(−loss) a likelihood? `mlnn.audit`."""

import math
from dataclasses import replace
from typing import Any

import torch

from mlnn.auditing.ask import Loss, TooSlowError
from mlnn.auditing.certificate import Certificate
from mlnn.auditing.curves import curves
from mlnn.auditing.domain import departure, find_domains
from mlnn.auditing.finding import Finding
from mlnn.auditing.finite import examine_finite
from mlnn.auditing.guarded import floating, guarded, target_space
from mlnn.auditing.notes import notes
from mlnn.auditing.numeric import examine_numeric
from mlnn.auditing.proven import proven
from mlnn.auditing.reads import reading
from mlnn.auditing.record import Curves
from mlnn.auditing.sentence import sentence
from mlnn.auditing.sound import answers_a_batch, cannot_be_read, check_answers, coupling, too_coarse
from mlnn.auditing.world import quiet_world
from mlnn.objectives import Objective
from mlnn.objectives.precision import looked_into
from mlnn.objectives.reduction import unsteady
from mlnn.objectives.rowwise import unreduced
from mlnn.signature import raw_outputs
from mlnn.targets import TargetSpace

LARGEST_EXPONENT = 709.0
"""e to more than this overflows float64: a base measure is told up to there."""
BROKEN = (
    "near output 0 it is −log of a likelihood, but from a raw output of size {size:.3g} on, which any ordinary training visits, it"
    " is another loss, and exp(−loss) adds up to another number there (a penalty, a clamp of one part)"
)
TOLD_COUNTS = torch.arange(11, dtype=torch.float64)
"""Counts whose base measure is told."""


def audit(
    loss: Any,
    targets: str | TargetSpace = "binary",
    *,
    outputs: str = "raw",
    dtype: torch.dtype | str = torch.float32,
    name: str | None = None,
    prove: bool = False,
) -> Certificate:
    """Whether exp(−loss) is a likelihood of the targets, of which kind, and where in floating point.

    loss: an `nn.Module` loss, a function, an mlnn objective or likelihood; (output, target) → (n,) or scalar, differentiable
    in the output. targets: "binary", "classes(K)", "real", "counts", "positive" or "unit"; "real(raw=2)" for a loss that reads
    two raw outputs for each target, which is found by asking where that leaves no doubt. outputs: "raw" or "probabilities".
    dtype: the precision that `domain` is about. prove: by ball arithmetic too (`Certificate.proof`), which needs the extra `proof`.
    Takes about 0.1 s, with several outputs up to 2 s. What cannot be decided comes
    back as "undecided". What the caller has set (gradients off, autocast, defaults) does not count, and random streams and
    settings are as they were afterwards, whatever the loss does; it is asked on copies. Raises ConfigError for what is no loss,
    an unknown target space or one of more than 1000 classes, a loss that refuses every target of it or would read several
    numbers of outputs, or one whose answer is no real tensor.
    """
    precision, space = floating(dtype), target_space(targets)
    with quiet_world():
        return _audit(looked_into(reading(guarded(loss, space, outputs, name)), precision), precision, prove)


def _audit(objective: Objective, dtype: torch.dtype, prove: bool) -> Certificate:
    space = objective.targets
    check_answers(objective, space)
    whole = unreduced(objective)  # a framework module's own mean is not what is audited
    asked = Loss(objective, space)
    try:
        finding = _examine(asked, whole, space)
        if asked.has_changed():
            finding = Finding(
                "undecided", said="it no longer gives the answer that it gave at first (state or randomness)"
            )
        return _certify(asked, objective, finding, dtype, prove)
    except TooSlowError:
        said = "it answers whole batches only and cannot be vectorised (.item(), a branch on values?): give one value per row"
        return _certify(asked, objective, Finding("undecided", said=said), dtype, prove)


def _examine(asked: Loss, whole: Objective, space: TargetSpace) -> Finding:
    moody = unsteady(whole)
    if moody:
        return Finding("undecided", said=moody)
    coarse = too_coarse(asked)
    if coarse:
        return Finding("undecided", said=coarse)
    if answers_a_batch(whole, space):
        witness = coupling(whole, space)
        if witness:
            return Finding("batch-coupled", witness=witness)
    unreadable = cannot_be_read(asked)
    if unreadable:
        return Finding("undecided", said=unreadable)
    return examine_finite(asked) if space.finite else examine_numeric(asked)


def _certify(asked: Loss, objective: Objective, finding: Finding, dtype: torch.dtype, prove: bool) -> Certificate:
    """The finding with its floating-point domain, its figure and its words."""
    departs, broken = (departure(asked, finding) if finding.log_base is not None else None) or (None, False)
    if departs is not None and broken:
        finding, departs = Finding("undecided", said=BROKEN.format(size=departs), residual=finding.residual), None
    likely = finding.log_base is not None
    domains = find_domains(asked, finding, tuple(dict.fromkeys((dtype, torch.float64)))) if likely else {}
    own = str(dtype).removeprefix("torch.")
    raw = (
        None if raw_outputs(objective.function) else asked.space.raw
    )  # what a signature says is no part of the targets
    target = TOLD_COUNTS if asked.space.countable else asked.space.inner_points
    log_h = dict(zip(target.tolist(), finding.log_base(target).tolist(), strict=True)) if finding.log_base else None
    base = {y: math.exp(min(h, LARGEST_EXPONENT)) for y, h in log_h.items()} if log_h else None
    constants = {y: (finding.scale or 1.0) * h for y, h in log_h.items()} if log_h else None
    found = Certificate(
        finding.kind, objective.name, str(replace(asked.space, raw=raw)), finding.family, finding.scale, finding.link,
        base, constants, finding.measure, domains.get(own, "none"), domains, finding.residual, finding.unreachable,
        finding.witness, notes(asked, objective, finding, departs),
        curves=Curves() if finding.kind in ("batch-coupled", "undecided") else curves(asked, finding),
    )  # fmt: skip
    proof = proven(objective, finding, domains.get("float64", "none"), log_h or {}) if prove else None
    return replace(found, sentence=sentence(found, finding.said, finding.free_below), proof=proof)
