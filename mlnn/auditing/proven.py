"""What an audit found, put to a proof by ball arithmetic; where that is not installed, nothing is proved, and no more changes."""

import math

from mlnn.auditing.finding import Finding
from mlnn.auditing.record import Domain
from mlnn.objectives import Objective
from mlnn.proving.certified import Certified, Claim, not_run

NOT_INSTALLED = "python-flint is not installed: pip install 'mlnn[proof]'"
CLAIMED = ("likelihood", "scaled likelihood", "likelihood family")
REFUTED = ("proper", "calibrated", "no link", "unnormalisable")


def proven(objective: Objective, finding: Finding, domain: Domain, log_base: dict[float, float]) -> Certified:
    """The proof of a finding. `domain`: raw outputs at which it holds in float64; `log_base`: log h by target, of all labels."""
    if finding.kind not in (*CLAIMED, *REFUTED):
        return not_run(f"'{finding.kind}' claims nothing of all raw outputs")
    try:
        from mlnn.proving.certify import certify
    except ImportError:
        return not_run(NOT_INSTALLED)
    likely = finding.kind in CLAIMED
    claim = Claim(
        likely, finding.scale or 1.0, log_base if likely else {}, _around(domain), finding.turns, finding.kind == "unnormalisable"
    )  # fmt: skip
    return certify(objective, claim)


def _around(domain: Domain) -> float:
    """A raw output in the middle of where a finding holds: 0 wherever it may be."""
    if isinstance(domain, str):
        return 0.0
    low, high = domain
    if low < 0 < high:
        return 0.0
    return high - 1 if math.isinf(low) else low + 1 if math.isinf(high) else (low + high) / 2
