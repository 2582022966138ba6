"""The certificate in plain words."""

import math

from mlnn.auditing.certificate import Certificate
from mlnn.auditing.record import Domain
from mlnn.targets import TargetSpace

LIKELIHOODS = {
    "likelihood": "'{name}' is −log of a likelihood{family}{link}{constant}: minimising it is maximum likelihood.",
    "scaled likelihood": "'{name}' is {scale:.6g} times −log of a likelihood{family}{link}{constant}: minimising it is maximum"
    " likelihood, but exp(−loss) is the likelihood to the power {scale:.6g}, and a probability is read from"
    " exp(−loss/{scale:.6g}).",
    "likelihood family": "'{name}' is −log of a likelihood{family}{link}{constant}: minimising it is maximum likelihood."
    " Its dispersion is free: exp(−loss/τ) is a density too for every τ {free}, so the loss alone does not say how wide.",
}
NO = "no temperature and no base measure with weight on every target make exp(−loss) a likelihood"
OTHERS = {
    "proper": "'{name}' is proper, but no likelihood: in expectation it is least at the true {what}{link}; {no}.",
    "calibrated": "'{name}' is no likelihood: {no}. {follows}",
    "no link": "'{name}' is no likelihood, and no probability can be read from its output: {said}. {No}.",
    "unnormalisable": "'{name}' is no likelihood: ∫ exp(−loss) over the targets is infinite at every output ({said}).",
    "batch-coupled": "'{name}' is not a sum or mean of one value per row: what a row adds depends on the other rows of the"
    " batch, so exp(−loss) is no product of conditional likelihoods.",
    "undecided": "Whether '{name}' is a likelihood is not decided: {said}.",
}


def sentence(found: Certificate, said: str, free_below: float) -> str:
    """One or two sentences, for a person. `said`: what the examination adds in its own words."""
    if found.kind in LIKELIHOODS:
        text = LIKELIHOODS[found.kind].format(
            name=found.name, scale=found.scale, family=f" ({found.family})" if found.family else "",
            link=_link(found), constant=_constant(found),
            free="> 0" if math.isinf(free_below) else f"below {free_below:.4g}",
        )  # fmt: skip
        return text + _domain(found.domains)
    numeric = not TargetSpace.parse(found.targets).finite
    text = OTHERS[found.kind].format(
        name=found.name, said=said, no=NO, No=NO[0].upper() + NO[1:],
        what="mean" if numeric else "probabilities", link=f", read as {found.link}" if found.link else "",
        follows=f"{said[0].upper()}{said[1:]}." if said and TargetSpace.parse(found.targets).raw else _follows(found, numeric),
    )  # fmt: skip
    if found.unreachable:
        text += f" At {found.unreachable:.0%} of the outputs looked at it would take probabilities outside [0, 1]."
    return text


def _follows(found: Certificate, numeric: bool) -> str:
    if numeric:
        shape = f" as {found.link}" if found.link else ""
        return f"Its best output follows the target{shape}, but not the target's mean."
    return "A probability belongs to each output, through a link of its own that is not the declared one."


def _link(found: Certificate) -> str:
    if found.link is None:
        return ""
    finite = TargetSpace.parse(found.targets).finite
    return f", probability {found.link}" if finite else f", link {found.link}"


def _constant(found: Certificate) -> str:
    if found.measure is None or found.measure.split(",")[0] == "1":
        return ""
    return f", up to a constant of the target (h(y) = {found.measure})"


def _domain(domains: dict[str, Domain]) -> str:
    said = [f"in {name} {_range(*ends)}" for name, ends in domains.items() if not isinstance(ends, str)]
    if not said:
        return " As computed it holds at every output looked at."
    whole = [name for name, ends in domains.items() if isinstance(ends, str)]
    return f" As computed it holds {' and '.join([*said, *(f'in {name} everywhere' for name in whole)])}."


def _range(low: float, high: float) -> str:
    if low == high:
        return "at no output that was looked at"
    if math.isinf(low):
        return f"for outputs below {high:.2f}"
    return f"for outputs above {low:.2f}" if math.isinf(high) else f"for outputs in [{low:.2f}, {high:.2f}]"
