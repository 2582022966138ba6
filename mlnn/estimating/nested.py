"""`mlnn.compare_fits`: is the larger of two fits more than chance makes it? A test where the smaller lies inside it.

Twice the difference of two maximal log-likelihoods is χ² with as many degrees of freedom as the larger has numbers more (Wilks
1938), if the smaller is a special case of it, inside its parameter space, and true. All of that is checked, or said.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import scipy
import torch
from torch import Tensor

from mlnn.errors import ConfigError, DataError
from mlnn.estimating.fit_comparison import FitComparison, Side, Test
from mlnn.estimating.fitted_rows import FittedRows
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import SANDWICHES
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.residuals import deviance
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood
from mlnn.objectives.criteria import Criteria
from mlnn.world import own_world

CONTAINED = 1e-8
"""Of a column's length, what the larger's columns leave of it: above the rounding of any design that is not near singular."""
ROWS = 4096
"""In a chunk."""
ROUNDING = 1e-9
"""Of a log-likelihood: how far below the smaller's the larger's may come by rounding."""


Fit = Estimate | ModelFit


@dataclass(frozen=True)
class _Side:
    """One of the two: its name in what is said, the fit, its rows, how many numbers are estimated."""

    name: str
    fit: Fit
    rows: FittedRows

    @property
    def likelihood(self) -> Likelihood:
        """With its numbers in place."""
        return self.rows.family.likelihood

    @property
    def free(self) -> str | None:
        """The number of the likelihood that is estimated."""
        return self.rows.family.free

    @property
    def size(self) -> int:
        """How many numbers are estimated, the likelihood's too."""
        family = self.rows.family
        return self.fit.parameters + (0 if family.counted else len(family.frees))


@dataclass(frozen=True)
class _Nesting:
    """Whether the smaller lies inside the larger: `reason` why not, else None; boundary: at an end of a number's range."""

    reason: str | None = None
    boundary: bool = False
    note: str | None = None


@own_world(threads=None)
def compare_fits(a: Fit, b: Fit, *, nested: bool = False) -> FitComparison:
    """Two fits of the same rows: a likelihood-ratio test where one lies inside the other, and their AIC and BIC.

    Nested are fits of one likelihood (with the same numbers given; one may estimate what the other is given), or of a
    likelihood and its limit (Poisson in negative binomial, θ = ∞, an end of θ's range: ½χ²(q) + ½χ²(q+1), Self & Liang 1987),
    if the larger's columns span the smaller's and the difference of their offsets, to 1e-8 of a column's length. Of normal and
    gamma fits with an unbiased dispersion the test is F, with the larger's dispersion, as R's anova has it. Of models that are
    not linear in their parameters nesting cannot be seen: `nested=True` claims it, and the notes say whose claim it is.

    Raises ConfigError where a fit has no finite maximum, or one is of densities and the other of probabilities; DataError where
    the rows are not the same: targets, weights, their order.
    """
    sides = _side("a", a), _side("b", b)
    _check_same_rows(*sides)
    small, large = sorted(sides, key=lambda side: side.size)
    alike = small.likelihood.same(large.likelihood) and small.free == large.free
    found = FitComparison(
        _described(sides[0], alike),
        _described(sides[1], alike),
        smaller=small.name,
        larger=large.name,
        llr=2 * (large.fit.llf - small.fit.llf),
        sentence="",
        notes=tuple(_notes(sides, alike)),
    )
    nesting = _nesting(small, large, nested)
    if nesting.reason is None and found.llr < -ROUNDING * abs(large.fit.llf):
        nesting = _Nesting(
            f"{large.name}, the larger, is less likely: it does not hold {small.name}, or is no highest maximum"
        )
    if nesting.reason is not None:
        return replace(found, sentence=f"No test: {nesting.reason}. {_criteria(found)}")
    test = _test(small, large, max(0.0, found.llr), nesting.boundary)
    notes = found.notes if nesting.note is None else (*found.notes, nesting.note)
    return replace(
        found, test=test, notes=notes, sentence=f"{small.name} inside {large.name}: {test.told}. {_criteria(found)}"
    )


def _side(name: str, fit: Fit) -> _Side:
    if not isinstance(fit, Estimate | ModelFit):
        raise ConfigError(f"compare_fits: {name} must be a fit of mlnn.estimate, found {type(fit).__name__}")
    if fit.separation not in ("none", "unknown"):
        raise ConfigError(
            f"compare_fits: {name} has no finite maximum ({fit.separation} separation): its log-likelihood is a supremum, and no"
            " test, AIC or BIC of it holds"
        )
    if fit.rows is None:
        raise ConfigError(f"compare_fits: {name} holds no rows to compare; was it pickled without its model?")
    if isinstance(fit, Estimate) and fit.penalty is not None:
        raise ConfigError(
            f"compare_fits: the penalty of {name}, ½ log|I|, depends on its columns and their units, so its log-likelihood is"
            " not comparable with another's; pvalues of the larger fit are profile tests under one penalty"
        )
    return _Side(name, fit, fit.rows)


def _check_same_rows(a: _Side, b: _Side) -> None:
    one, other = a.rows.design, b.rows.design
    if len(one.y) != len(other.y):
        raise DataError(f"compare_fits: a is of {len(one.y)} rows and b of {len(other.y)}; fit both to the same")
    if (a.rows.family.space.coordinate is None) != (b.rows.family.space.coordinate is None):
        raise ConfigError(
            f"compare_fits: a ({a.fit.likelihood}) is of probabilities and b ({b.fit.likelihood}) of a density, or the other way"
            " round; their log-likelihoods cannot be compared"
        )
    for what, left, right in (("y", one.y, other.y), ("the weight", _weights(one), _weights(other))):
        apart = (left.double() != right.double()).nonzero()
        if len(apart):
            row = int(apart[0, 0])
            raise DataError(
                f"compare_fits: {what} of row {row} is {float(left[row]):g} in a and {float(right[row]):g} in b; fit both to the"
                " same rows in the same order"
            )


def _weights(design: Design) -> Tensor:
    return torch.ones(len(design.y), dtype=torch.float64) if design.weights is None else design.weights


def _described(side: _Side, alike: bool) -> Side:
    counted = side.fit.parameters if alike else side.size
    criteria = Criteria(side.fit.llf, counted, side.fit.nobs)
    return Side(side.name, side.fit.likelihood, side.fit.llf, counted, criteria.aic, criteria.bic)


def _nesting(small: _Side, large: _Side, claimed: bool) -> _Nesting:
    reason, boundary = _of_likelihoods(small, large)
    if reason is not None:
        return _Nesting(reason)
    for side in (small, large):
        if isinstance(side.fit, ModelFit) and not side.fit.identified:
            return _Nesting(f"{side.name} is not identified, so the χ² of a likelihood ratio does not hold")
    if large.size == small.size:
        return _Nesting("both estimate as many numbers")
    if small.rows.affine() and large.rows.affine():
        told = _outside(small, large)
        return _Nesting(f"not nested: {told}" if told else None, boundary)
    if not claimed:
        return _Nesting(
            "whether a model that is not linear in its parameters holds another cannot be seen; nested=True claims that it does"
        )
    return _Nesting(
        note=f"that {small.name} lies inside {large.name} is the caller's claim; where a parameter of {large.name} has no effect"
        f" under {small.name} (a further hidden unit), neither χ² nor F holds",
        boundary=boundary,
    )


def _of_likelihoods(small: _Side, large: _Side) -> tuple[str | None, bool]:
    """(why the smaller's likelihood is no case of the larger's, or None; whether it is one at an end of a number's range)."""
    if not small.likelihood.same(large.likelihood):
        if large.free is not None and type(small.likelihood) is large.likelihood.limit:
            return None, True
        return f"{small.fit.likelihood} is not known to be a case of {large.fit.likelihood}", False
    if small.free is not None and large.free is None:
        return f"{small.name} estimates {small.free}, which {large.name} was given", False
    given = [{k: v for k, v in side.likelihood.numbers.items() if k != large.free} for side in (small, large)]
    if given[0] != given[1]:
        return f"the likelihoods were given other numbers, {_numbers(given[0])} and {_numbers(given[1])}", False
    return None, False


def _numbers(given: dict[str, float]) -> str:
    return ", ".join(f"{key} = {value:g}" for key, value in given.items())


def _outside(small: _Side, large: _Side) -> str | None:
    """What of the smaller's columns, and of the offsets' difference, the larger's columns leave; None where they span it all."""
    alone = sorted(set(large.rows.family.constants) - set(small.rows.family.constants))
    if alone and small.rows.design.features:
        return f"{large.rows.family.labels[alone[0]]} of {large.name} has a constant alone, and that of {small.name} has not"
    root = torch.zeros(0, 0, dtype=torch.float64)
    for start in range(0, len(small.rows.design.y), ROWS):
        inner, outer = (side.rows.columns(slice(start, start + ROWS)) for side in (small, large))
        both = torch.cat([outer[:, :-1], inner[:, :-1], inner[:, -1:] - outer[:, -1:]], 1)
        root = torch.linalg.qr(both if not len(root) else torch.cat([root, both]), mode="r")[1]
    wide = large.rows.columns(slice(0, 1)).shape[1] - 1
    left, length = root[wide:, wide:].norm(dim=0), root[:, wide:].norm(dim=0)
    outside = (left > CONTAINED * length).nonzero()[:, 0].tolist()
    if not outside:
        return None
    names = [small.fit.names[k] if k < len(small.fit.names) else "the offset" for k in outside]
    return f"{', '.join(names[:5])} of {small.name} is no combination of the columns of {large.name}"


def _test(small: _Side, large: _Side, llr: float, boundary: bool) -> Test:
    df = large.size - small.size
    kinds = {side.fit.dispersion_kind for side in (small, large)}
    if not boundary and len(kinds) == 1 and kinds.pop().startswith("unbiased") and large.fit.dispersion is not None:
        gained = deviance(small.rows) - deviance(large.rows)
        ratio, left = max(0.0, gained) / df / large.fit.dispersion, large.fit.df_resid
        return Test(ratio, df, float(scipy.stats.f.sf(ratio, df, left)), "F", left)
    if boundary:
        below = float(scipy.stats.chi2.sf(llr, df - 1)) if df > 1 else float(llr <= 0)
        pvalue = 0.5 * below + 0.5 * float(scipy.stats.chi2.sf(llr, df))
        return Test(llr, df, pvalue, f"½chi2({df - 1}) + ½chi2({df})")
    return Test(llr, df, float(scipy.stats.chi2.sf(llr, df)), "chi2")


def _notes(sides: tuple[_Side, _Side], alike: bool) -> Iterator[str]:
    robust = [side.name for side in sides if side.fit.cov in SANDWICHES]
    if robust:
        yield (
            f"standard errors of {' and '.join(robust)} are robust; the test, AIC and BIC take the likelihood to be right"
        )
    if sides[0].rows.family.space.whole_line and not all(side.free for side in sides):
        yield "the test takes the errors to be of the very density that was given, its scale included, which is not estimated"
    own = [
        side.name
        for side in sides
        if not side.rows.family.knows_information and not side.likelihood.jointly  # those of the catalogue drop nothing
    ]
    if not alike and own:
        yield f"the log-likelihood of {' and '.join(own)} is what its nll gives; a constant that it drops would shift aic and bic"
    uncounted = [side.name for side in sides if side.free is not None and not side.rows.family.counted]
    if not alike and uncounted:
        yield f"aic and bic count every estimated number here, which {' and '.join(uncounted)} by itself does not"


def _criteria(found: FitComparison) -> str:
    """Which side AIC and BIC prefer, and by how much."""
    told = []
    for word, (a, b) in (("AIC", found.aic), ("BIC", found.bic)):
        told.append(
            f"{word} is lower for {'a' if a < b else 'b'} by {abs(a - b):.4g}" if a != b else f"{word} is equal"
        )
    return "; ".join(told)
