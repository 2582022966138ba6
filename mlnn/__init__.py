"""mlnn: is minimising this loss maximum likelihood — on paper, in floating point, and along training?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlnn.auditing import Certificate, audit
    from mlnn.comparing.comparison import compare
    from mlnn.comparing.finished import Comparison
    from mlnn.data import Dataset
    from mlnn.estimating import Estimate, compare_fits, estimate
    from mlnn.objectives import Step
    from mlnn.proving import Proof, prove
    from mlnn.recording import lift, record
    from mlnn.recording.differing.diff import Diff, diff
    from mlnn.recording.replay import replay
    from mlnn.runs.frame import load
    from mlnn.training import LaneRecipe

__version__ = "0.1.0"
__all__ = [
    "Certificate",
    "Comparison",
    "Dataset",
    "Diff",
    "Estimate",
    "LaneRecipe",
    "Proof",
    "Step",
    "audit",
    "compare",
    "compare_fits",
    "diff",
    "estimate",
    "lift",
    "load",
    "prove",
    "record",
    "replay",
]
_HOMES = {
    "audit": "mlnn.auditing",
    "Certificate": "mlnn.auditing",
    "compare": "mlnn.comparing.comparison",
    "compare_fits": "mlnn.estimating",
    "Comparison": "mlnn.comparing.finished",
    "Dataset": "mlnn.data",
    "diff": "mlnn.recording.differing.diff",
    "Diff": "mlnn.recording.differing.diff",
    "estimate": "mlnn.estimating",
    "Estimate": "mlnn.estimating",
    "LaneRecipe": "mlnn.training",
    "Step": "mlnn.objectives",
    "lift": "mlnn.recording",
    "load": "mlnn.runs.frame",
    "Proof": "mlnn.proving",
    "prove": "mlnn.proving",
    "record": "mlnn.recording",
    "replay": "mlnn.recording.replay",
}


def __getattr__(name: str) -> Any:
    """Load the public names on first use: `import mlnn` alone stays quick, and parts import no more than they need."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mlnn' has no attribute '{name}'")
    import random
    from importlib import import_module

    before = random.getstate()  # libraries that are imported with a part may draw; the caller's stream is the caller's
    try:
        return getattr(import_module(_HOMES[name]), name)
    finally:
        random.setstate(before)
