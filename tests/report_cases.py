"""Synthetic input for the tests of the report: traces, verdicts and growth rows; whole, bare and broken."""

from dataclasses import replace

import numpy as np

from mlnn.comparing.growth import GrowthCell
from mlnn.comparing.probe_figure import ProbeCurves, TargetCurves
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.trained import Trained
from mlnn.comparing.verdict import Verdict

HOSTILE = "</script><script>alert(1)</script>&<b>"
RUN = RunInfo(
    left="bce", right="bernoulli_nll_log1p", model="mlp", data="moons, 512 rows", optimizer="SGD(lr=0.1)", steps=50,
    batch_size=32, dtype="float32", seed=0, parameters=2305,
)  # fmt: skip
TRAINED = Trained("bce", "mlp", "moons", "SGD(lr=0.1)", 50, "float32", 0, 32)
Z = np.linspace(-40, 40, 9)
SIDE = {side: np.logaddexp(0, Z) for side in ("left", "right")}
PROBE = ProbeCurves(Z, [TargetCurves(y, SIDE, SIDE) for y in (0, 1)])
VERDICT = Verdict(
    "equal", "equal", "equal", "Equal where it matters.", domain=(-27.6, 16.6), left_domain=0.0123, resolution=1.234e-6,
    control="bitwise", shrink=4.87e8, evidence={"max_abs_loss_gap": 2.4e-7, "note": "short"},
    first_difference={"step": 1, "parameter": "0.weight", "row": None, "output": None, "target": None},
    resolutions={"float32": 1e-6},
)  # fmt: skip
BARE = Verdict("undecided", "undecided", "undecided", "")


def make_trace(steps=50, size=1e-7, broken=None, seed=0):
    noise = np.random.default_rng(seed)
    step = np.arange(1, steps + 1)
    loss = 0.69 * np.exp(-step / 20) + 0.1 + 0.03 * noise.random(steps)
    gap = size * np.sqrt(step - 1) * (1 + 0.2 * noise.random(steps))
    trace = {
        "step": step, "loss_left": loss, "loss_right": loss * (1 + gap), "loss_control": loss, "loss_null_1": loss,
        "loss_left_float64": loss, "loss_right_float64": loss, "abs_loss_gap": loss * gap, "gradient_gap": gap,
        "gradient_gap_float64": gap * 1e-9, "gradient_gap_free": gap, "weight_gap": gap, "weight_gap_ulps": gap * 1e7,
        "weight_gap_float64": gap * 2e-9, "weight_gap_null_1": gap * 2, "null_low": gap / 5, "null_high": gap * 4,
        "prediction_gap": gap, "saturated_fraction": gap, "non_finite_left": 0 * gap, "non_finite_right": 0 * gap,
    }  # fmt: skip
    trace = {name: np.array(values) for name, values in trace.items()}
    if broken is not None:
        for name in ("loss_right", "abs_loss_gap", "weight_gap", "gradient_gap", "prediction_gap"):
            trace[name][broken:] = np.nan
        trace["non_finite_right"][broken:] = 3
    return trace


MINIMAL = {"step": np.arange(3)}
EMPTY = {name: values[:0] for name, values in make_trace().items()}
ALL_NAN = {name: values if name == "step" else values * np.nan for name, values in make_trace().items()}
ZERO = {name: values if name == "step" else values * 0 for name, values in make_trace().items()}
TRACES = {
    "full": make_trace(), "minimal": MINIMAL, "broken": make_trace(broken=20), "broken at once": make_trace(broken=0),
    "empty": EMPTY, "all NaN": ALL_NAN, "zero": ZERO, "one step": make_trace(steps=1),
}  # fmt: skip


def make_rows(broken=True):
    rows = []
    for i, model in enumerate(("one_node", "mlp", "cnn")):
        for seed in (0, 1):
            row = GrowthRow(
                model=model, parameters=5 * 10**i, depth=i, seed=seed, relation="equal", max_abs_loss_gap=1e-7 * i,
                gradient_gap=1e-7, weight_gap=2e-7 * i * (1 + seed), null_low=1e-8 * i, null_high=1e-6 * (1 + seed),
                float64_weight_gap=4e-16 * i, shrink=5e8, first_difference_step=1, steps=50, non_finite=0,
            )  # fmt: skip
            if broken and (model, seed) == ("mlp", 1):
                row = replace(row, relation="broken", weight_gap=np.nan, max_abs_loss_gap=np.nan)
            rows.append(row)
    return rows


def make_cells(rows):
    return [
        GrowthCell(
            row.model, row.seed, row, replace(VERDICT, relation=row.relation), make_trace(seed=row.seed),
            replace(RUN, parameters=row.parameters),
        )
        for row in rows
    ]  # fmt: skip
