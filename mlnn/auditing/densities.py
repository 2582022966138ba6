"""Which density of several raw outputs is it? Its parameters are fitted at each output, and then read as links of its entries."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss, crossed
from mlnn.auditing.density_forms import FORMS, OTHER_PARAMETERS, WIDTH_LINKS, Form, Parameter, of_mixture
from mlnn.auditing.finding import by_formula
from mlnn.auditing.integrals import NOTHING, Base
from mlnn.auditing.known import VALUES_AGREE, Known
from mlnn.auditing.links import read_entry, subscript
from mlnn.targets import COUNTS

TRIED = 8
"""Outputs at which a density is fitted."""
POINTS = 41
"""Targets that it is fitted to."""
FITS = 1e-7
"""Misfit of a log density, relative to the largest, up to which it is that density: three or so parameters, 41 targets."""
READ = 1e-6
"""Rounding of a parameter that was fitted."""
NEARLY = 1e-6
"""Share to which a loss is the formula of links that were read off fitted parameters, or they are not said."""
STARTS = (0.0, 1.5, -1.5)
"""Of the log, or logit, of a shape or share."""
LEAST_MEAN = 0.1
"""Of counts, where the fit of one starts."""
INTO: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "real": (lambda x: x, lambda p: p),
    "positive": (torch.exp, torch.log),
    "unit": (torch.sigmoid, torch.logit),
}
"""From a number on a line to a parameter, and back."""


@dataclass(frozen=True)
class Read:
    """A parameter as a function of the output, in words; `of` outputs (n, m) to (n,)."""

    words: str
    of: Callable[[Tensor], Tensor]


def named_density(loss: Loss, outputs: Tensor, tau: float, log_base: Base) -> Known:
    """Name, links and formula of exp(log_base − loss/τ) as far as they can be told; None for what cannot."""
    found = _mixture(loss, outputs, tau, log_base)
    if found:
        return found
    named: str | None = None
    for form in (*FORMS, *OTHER_PARAMETERS):
        if form.support != loss.space.facts.support or (named and form in OTHER_PARAMETERS and form.name != named):
            continue
        fitted = _fitted(loss, form, outputs[:TRIED], tau, log_base)
        if fitted is None:
            continue
        links = [_read(parameter, outputs[:TRIED], fitted[:, k]) for k, parameter in enumerate(form.parameters)]
        read = [one for one in links if one is not None]
        if len(read) == len(links):
            name = form.name + (", variance learned" if form.name == "normal" and "f" in read[-1].words else "")
            return _with_formula(loss, form, name, read, outputs, tau, log_base)
        named = named or form.name
    return Known(named, None, None)


def _with_formula(
    loss: Loss, form: Form, name: str, read: list[Read], outputs: Tensor, tau: float, log_base: Base
) -> Known:
    """The name and links, and the formula where the loss's values are exactly its."""
    link = ", ".join(one.words for one in read)

    def formula(f: Tensor, y: Tensor) -> Tensor:
        return tau * (form.nll(y, *(one.of(f) for one in read)) + log_base(y))

    if not _is_it(loss, outputs, formula, NEARLY):
        return Known(name, None, None)
    return Known(name, link, by_formula(formula) if _is_it(loss, outputs, formula) else None)


def _is_it(
    loss: Loss, outputs: Tensor, formula: Callable[[Tensor, Tensor], Tensor], share: float = VALUES_AGREE
) -> bool:
    """Whether the loss is that formula, value by value, where both are finite: which is nearly everywhere."""
    flat = crossed(outputs, loss.space.wide_points)
    value, truth = loss.value(*flat), formula(*flat)
    seen = torch.isfinite(value) & torch.isfinite(truth)
    off = (value - truth).abs()[seen] <= share * truth.abs()[seen].clamp_min(1.0)
    return bool(off.all()) and float(seen.double().mean()) > 0.5


def _fitted(loss: Loss, form: Form, outputs: Tensor, tau: float, log_base: Base) -> Tensor | None:
    """The parameters (F, k) of the density at outputs (F, m); None where at one of them it is not that density."""
    found = []
    for output in outputs:
        y, middle, width = _around(loss, output, tau, log_base)
        seen = log_base(y) - loss.value(output.expand(len(y), -1), y) / tau
        parameters = _fit(form, y[torch.isfinite(seen)], seen[torch.isfinite(seen)], middle, width)
        if parameters is None:
            return None
        found.append(parameters)
    return torch.stack(found)


def _around(loss: Loss, output: Tensor, tau: float, log_base: Base) -> tuple[Tensor, float, float]:
    """Targets (Y,) in the bulk of the density and around it, and its middle and width, in coordinates; of counts, in counts."""
    along = loss.space.coordinate
    if along is None:
        y = torch.arange(POINTS, dtype=torch.float64)
        p = torch.softmax(log_base(y) - loss.value(output.expand(len(y), -1), y) / tau, 0)
        mean = float((p * y).sum())
        return y, mean, float((p * (y - mean) ** 2).sum())
    v = torch.linspace(max(along.low, -60.0), min(along.high, 60.0), 2401, dtype=torch.float64)
    y = along.target(v)
    height = log_base(y) - loss.value(output.expand(len(y), -1), y) / tau + along.log_slope(v)
    height = height.nan_to_num(NOTHING, NOTHING, NOTHING)
    best = int(height.argmax())
    width = float((height > height.max() - 1).sum()) * float(v[1] - v[0]) / 2
    inner = float(v[best]) + width * torch.linspace(-4.03, 3.97, POINTS, dtype=torch.float64)
    return along.target(inner), float(v[best]), width


def _fit(form: Form, y: Tensor, seen: Tensor, middle: float, width: float) -> Tensor | None:
    """The parameters (k,) at which the log density is what is `seen` (Y,); None where it is so at none."""
    into = [INTO[parameter.line][0] for parameter in form.parameters]
    if len(y) < POINTS // 2:
        return None

    def misfit(x: np.ndarray) -> np.ndarray:
        at = [one(torch.tensor(float(part), dtype=torch.float64)) for one, part in zip(into, x, strict=True)]
        return (-form.nll(y, *at) - seen).nan_to_num(1e3, 1e3, -1e3).clamp(-1e6, 1e6).numpy()

    for start in STARTS:
        first = _start(form, middle, width, start)
        with np.errstate(all="ignore"):
            done = scipy.optimize.least_squares(
                misfit, first, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=200
            )
        if np.abs(done.fun).max() <= FITS * max(1.0, float(seen.abs().max())):
            return torch.stack(
                [one(torch.tensor(float(x), dtype=torch.float64)) for one, x in zip(into, done.x, strict=True)]
            )
    return None


def _start(form: Form, middle: float, width: float, start: float) -> list[float]:
    """Where a fit starts, on the lines of the parameters; a mean of counts is looked for by its log."""
    place = math.log(max(middle, LEAST_MEAN)) if form.support == COUNTS else middle
    known = {"place": place, "width": math.log(width), "": start}
    return [known[parameter.starts] for parameter in form.parameters]


def _read(parameter: Parameter, outputs: Tensor, values: Tensor) -> Read | None:
    """A parameter's values (F,) as a link of one entry of the outputs (F, m), or as one number; None where it is neither."""
    name, _, _ = parameter.aliases[0]
    size = float(values.abs().max())
    if float((values - values[0]).abs().max()) <= READ * max(size, 1e-3):
        value = float(f"{float(values[0]):.6g}")
        return Read(f"{name} {value:.6g}".strip(), lambda f: torch.full_like(f[..., 0], value))
    reads: list[tuple[int, Read]] = []
    for name, there, back in parameter.aliases:
        found = read_entry(outputs, there(values), READ)
        if found is not None:
            one = Read(f"{name} {found.words}".strip(), lambda f, found=found, back=back: back(found.of(f)))  # type: ignore[misc]
            reads.append(((abs(found.slope) != 1) * 2 + (found.shift != 0), one))
    return min(reads, key=lambda read: read[0])[1] if reads else None


def _mixture(loss: Loss, outputs: Tensor, tau: float, log_base: Base) -> Known | None:
    """A mixture of k normals with 3k outputs, weights, means and widths in any order, one after the other or by turns."""
    parts, odd = divmod(loss.space.outputs, 3)
    if odd or parts < 2 or not loss.space.whole_line:
        return None
    for order, by_turns in itertools.product(itertools.permutations(range(3)), (False, True)):
        for words, width in WIDTH_LINKS.items():

            def formula(f: Tensor, y: Tensor, order=order, by_turns=by_turns, width=width) -> Tensor:  # type: ignore[no-untyped-def]
                three = f.unflatten(-1, (parts, 3)).mT if by_turns else f.unflatten(-1, (3, parts))
                weights, means, widths = (three[..., k, :] for k in order)
                return tau * (of_mixture(y, weights, means, width(widths)) + log_base(y))

            if _is_it(loss, outputs, formula):
                entries = [_entries(k, parts, by_turns) for k in order]
                link = f"weights softmax({entries[0]}), means {entries[1]}, {words.format(entries[2])}"
                return Known(f"mixture of {parts} normals", link, by_formula(formula))
    return None


def _entries(which: int, parts: int, by_turns: bool) -> str:
    """The entries of an output that hold weights, means or widths."""
    numbers = [3 * k + which for k in range(parts)] if by_turns else [which * parts + k for k in range(parts)]
    return ", ".join(f"f{subscript(number + 1)}" for number in numbers)
