"""Which link is it? Names for the probability, or the mean, that a loss implies at each raw output."""

import torch
from torch import Tensor

AFFINE = 1e-8

# Transformations that make a link of that name affine in the raw output.
PROBABILITIES = {
    "σ": torch.logit,
    "Φ": torch.special.ndtri,
    "": lambda p: p,
    "1 − exp(−exp)": lambda p: torch.log(-torch.log1p(-p)),
    "½ + arctan/π": lambda p: torch.tan(torch.pi * (p - 0.5)),
}
MEANS = {"": lambda mean: mean, "exp": torch.log, "σ": torch.logit}


def log_odds(output: Tensor, p: Tensor) -> tuple[float, float] | None:
    """(a, b) where p (n,) is σ(a·f + b); None where it is not."""
    inside = (p > 1e-4) & (p < 1 - 1e-4)
    return _affine(output[inside], torch.logit(p[inside])) if int(inside.sum()) > 3 else None


def probability_link(output: Tensor, p: Tensor) -> str | None:
    """The name of the map from f (n,) to the probability p (n,) of target 1; None where it has none."""
    inside = (p > 1e-4) & (p < 1 - 1e-4)
    return _named(output[inside], p[inside], PROBABILITIES) if int(inside.sum()) > 3 else None


def mean_link(output: Tensor, mean: Tensor) -> str | None:
    """The name of the map from f (n,) to a mean (n,); None where it has none."""
    return _named(output, mean, MEANS)


def softmax_link(output: Tensor, p: Tensor) -> str | None:
    """Softmax of a·f + b, from f (n, K) and probabilities p (n, K); None where it is not that."""
    inside = (p > 1e-6).all(1)
    if p.shape != output.shape or int(inside.sum()) < 4:
        return None
    odds, apart = ((side[:, 1:] - side[:, :1]) for side in (p[inside].log(), output[inside]))
    columns = [_affine(apart[:, k], odds[:, k]) for k in range(odds.shape[1])]
    if any(column is None for column in columns):
        return None
    slopes, shifts = zip(*[column for column in columns if column], strict=True)
    if max(slopes) - min(slopes) > AFFINE:
        return None
    shifted = [0.0, *shifts]
    inner = "f" if abs(slopes[0] - 1) <= AFFINE else f"{slopes[0]:.6g}·f"
    if max(map(abs, shifted)) > AFFINE:
        inner += " + (" + ", ".join(f"{shift:.4g}" for shift in shifted) + ")"
    return f"softmax({inner})"


def _named(output: Tensor, value: Tensor, names: dict) -> str | None:
    for name, transform in names.items():
        straight = transform(value)
        if not bool(torch.isfinite(straight).all()):
            continue
        found = _affine(output, straight)
        if found and abs(found[0]) > AFFINE:
            return _write(name, *found)
    return None


def _affine(output: Tensor, straight: Tensor) -> tuple[float, float] | None:
    """(a, b) if the values are a·f + b up to rounding; None otherwise."""
    design = torch.stack([output, torch.ones_like(output)], 1)
    a, b = torch.linalg.lstsq(design, straight[:, None]).solution.squeeze(1).tolist()
    off = (straight - a * output - b).abs().max()
    return (a, b) if float(off) <= AFFINE * max(1.0, float(straight.abs().max())) else None


def _write(name: str, a: float, b: float) -> str:
    if not name and abs(a - 0.5) <= AFFINE and abs(b - 0.5) <= AFFINE:
        return "(1+f)/2"
    slope = {1.0: "f", -1.0: "−f"}.get(round(a, 7), f"{a:.6g}·f")
    shift = "" if abs(b) <= AFFINE else f" {'+' if b > 0 else '−'} {abs(b):.6g}"
    inner = f"{slope}{shift}"
    if not name:
        return inner
    return {"1 − exp(−exp)": f"1 − exp(−exp({inner}))", "½ + arctan/π": f"½ + arctan({inner})/π"}.get(
        name, f"{name}({inner})"
    )
