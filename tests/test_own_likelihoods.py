"""Classes with `nll` alone in the estimate: links against statsmodels, numbers of their own, separation, and what is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from torch import Tensor

import mlnn
from mlnn.errors import ConfigError
from mlnn.objectives import Binary, Classes, Counts, OneOutput, Ordered, Positive, Real, TwoOutputs

f64 = torch.float64
DRAWS = torch.Generator().manual_seed(3)
X = torch.randn(240, 2, generator=DRAWS, dtype=f64)
ETA = X @ torch.tensor([0.5, -1.0], dtype=f64) + 0.3
U = torch.rand(240, generator=DRAWS, dtype=f64)
YES = (-torch.expm1(-torch.exp(ETA)) > U).double()
COUNTS = torch.poisson((2 + 0.2 * X[:, 0]).clamp(0.1), generator=DRAWS)
LABELS = torch.bucketize(ETA + torch.logit(U), torch.tensor([-1.0, 1.0], dtype=f64))
Nll = Callable[[Tensor, Tensor], Tensor]


def own(nll: Callable[..., Tensor], **facts: Any) -> Any:
    """An instance of a class with `nll` alone."""
    return type("Mine", (), {"nll": staticmethod(nll), **facts})()


def cloglog(f: Tensor, y: Binary) -> Tensor:
    rate = torch.exp(f)
    return (1 - y) * rate - y * torch.log(-torch.expm1(-rate))


def loglog(f: Tensor, y: Binary) -> Tensor:
    rate = torch.exp(-f)
    return y * rate - (1 - y) * torch.log(-torch.expm1(-rate))


def cauchit(f: Tensor, y: Binary) -> Tensor:
    p = torch.atan2(torch.ones_like(f), -torch.where(y > 0.5, f, -f)) / math.pi  # no cancellation far out
    return -torch.log(p)


def identity(f: Tensor, y: Counts) -> Tensor:
    return f - torch.xlogy(y, f) + torch.lgamma(y + 1)


def square(f: Tensor, y: Counts) -> Tensor:
    return f**2 - torch.xlogy(y, f**2) + torch.lgamma(y + 1)


def softplus(f: Tensor, y: Counts) -> Tensor:
    mean = torch.nn.functional.softplus(f)
    return mean - y * torch.log(mean) + torch.lgamma(y + 1)


LINKS = sm.families.links
CASES: dict[str, tuple[Nll, Tensor, Any]] = {
    "cloglog": (cloglog, YES, sm.families.Binomial(LINKS.CLogLog())),
    "loglog": (loglog, YES, sm.families.Binomial(LINKS.LogLog())),
    "cauchit": (cauchit, YES, sm.families.Binomial(LINKS.Cauchy())),
    "identity": (identity, COUNTS, sm.families.Poisson(LINKS.Log())),
    "square": (square, COUNTS, sm.families.Poisson(LINKS.Log())),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:The (Identity|Sqrt) link function does not respect the domain")
def test_a_link_gives_what_statsmodels_gives(name: str) -> None:
    nll, y, family = CASES[name]
    if name in ("identity", "square"):
        family = sm.families.Poisson(LINKS.Identity() if name == "identity" else LINKS.Sqrt())
    found = mlnn.estimate(own(nll), (X, y))
    theirs = sm.GLM(y.numpy(), sm.add_constant(X.numpy(), prepend=False), family=family).fit(tol=1e-14, maxiter=300)
    assert found.params == pytest.approx(theirs.params, rel=1e-7, abs=1e-7)
    assert found.llf == pytest.approx(theirs.llf, rel=1e-12)
    observed = np.sqrt(np.diag(np.linalg.inv(-theirs.model.hessian(theirs.params, observed=True))))
    assert found.bse == pytest.approx(observed, rel=1e-6)
    assert found.separation == "none"


def test_a_softmax_of_ones_own_is_the_catalogues_with_class_0_at_0() -> None:
    def softmax(f: Tensor, y: Classes) -> Tensor:
        return torch.nn.functional.cross_entropy(f, y, reduction="none")

    found, known = mlnn.estimate(own(softmax), (X, LABELS)), mlnn.estimate("categorical", (X, LABELS))
    assert found.params == pytest.approx(known.params, rel=1e-8)
    assert found.bse == pytest.approx(known.bse, rel=1e-8)
    apart = (X[:, 0] > 0).long() + (X[:, 0] > 1).long()
    assert mlnn.estimate(own(softmax), (X, apart)).separation == "complete"


@pytest.mark.rest
@pytest.mark.sampled(3)
@pytest.mark.parametrize("nll", [cloglog, loglog, cauchit], ids=lambda nll: nll.__name__)
def test_rows_that_a_plane_parts_have_no_maximum_under_any_link_to_0_and_1(nll: Nll) -> None:
    gone = mlnn.estimate(own(nll), (X[:60], (X[:60, 0] > 0).double()))
    assert (gone.separation, gone.llf) == ("complete", 0.0)
    assert gone.params[0] == math.inf


def test_a_group_of_zero_counts_runs_away_where_the_mean_comes_near_0_and_not_where_it_meets_it() -> None:
    group = (X[:, 1] > 0.5).double()
    x, y = torch.cat([X, group[:, None]], 1), COUNTS * (1 - group)
    gone = mlnn.estimate(own(softplus), (x, y))
    assert gone.separation == "quasi"
    assert gone.params[2] == -math.inf
    assert np.isfinite(np.delete(gone.params, 2)).all()


# Numbers of one's own.
class Weibull:
    """Scale e^f, shape estimated."""

    free = "shape"

    def __init__(self, shape: float = 1.0) -> None:
        self.shape = shape

    def nll(self, f: Tensor, y: Positive) -> Tensor:
        z = torch.log(y) - f
        return torch.exp(self.shape * z) - self.shape * z - math.log(self.shape) + torch.log(y)


class StudentOfTheirs:
    """Location f; degrees of freedom and scale estimated."""

    free = ("df", "scale")

    def __init__(self, df: float = 5.0, scale: float = 1.0) -> None:
        self.df, self.scale = df, scale

    def nll(self, f: Tensor, y: Real) -> Tensor:
        half = math.lgamma(self.df / 2) - math.lgamma((self.df + 1) / 2)
        constant = half + math.log(self.scale) + 0.5 * math.log(math.pi * self.df)
        return (self.df + 1) / 2 * torch.log1p(((y - f) / self.scale) ** 2 / self.df) + constant


NOISE = torch.tensor(np.random.default_rng(1).standard_t(4, 240)) * 0.7
HEAVY = ETA + NOISE


def test_one_number_is_estimated_where_the_class_says_which() -> None:
    y = (-torch.log(U) * torch.exp(ETA)) ** 0.5
    found = mlnn.estimate(Weibull(), (X, y))
    kept = mlnn.estimate(Weibull(found.ancillary["shape"]), (X, y), model=lambda: torch.nn.Linear(2, 1).double())
    assert found.ancillary["shape"] == pytest.approx(2, abs=0.4)
    assert kept.llf == pytest.approx(found.llf, rel=1e-9)
    assert "shape is estimated" in " ".join(found.notes)


def test_several_numbers_are_estimated_together() -> None:
    from statsmodels.miscmodels.tmodel import TLinearModel

    found = mlnn.estimate(StudentOfTheirs(), (X, HEAVY))
    model = TLinearModel(HEAVY.numpy(), sm.add_constant(X.numpy(), prepend=False))
    start = np.r_[found.params, found.ancillary["df"], found.ancillary["scale"]]
    theirs = model.fit(start_params=start, disp=False, method="bfgs", gtol=1e-8)
    assert found.llf == pytest.approx(theirs.llf, abs=1e-6)
    assert found.params == pytest.approx(theirs.params[:3], abs=1e-5)
    assert [found.ancillary[k] for k in ("df", "scale")] == pytest.approx(theirs.params[3:], rel=1e-4)
    assert found.bse == pytest.approx(theirs.bse[:3], rel=2e-3)
    assert [found.ancillary_bse[k] for k in ("df", "scale")] == pytest.approx(theirs.bse[3:], rel=2e-3)
    assert found.parameters == 5
    assert "df, scale are estimated by maximum likelihood" in " ".join(found.notes)
    far = mlnn.estimate(StudentOfTheirs(30.0, 20.0), (1e4 * X + 1e5, 1e3 * HEAVY))
    assert far.ancillary["df"] == pytest.approx(found.ancillary["df"], rel=1e-6)
    assert far.ancillary["scale"] == pytest.approx(1e3 * found.ancillary["scale"], rel=1e-6)
    robust = mlnn.estimate(StudentOfTheirs(), (X, HEAVY), cov="robust")
    assert robust.bse == pytest.approx(found.bse, rel=0.3)


def test_a_number_without_a_maximum_is_said_to_run_away() -> None:
    exact = ETA + 0.5 * torch.erfinv(2 * U - 1).clamp(-1, 1)
    with pytest.raises(mlnn.errors.MlnnError, match="StudentOfTheirs: df has no finite maximum, it runs to infinity"):
        mlnn.estimate(StudentOfTheirs(), (X, exact))
    with pytest.raises(ConfigError, match=r"several numbers to estimate \(df, scale\)"):
        mlnn.estimate(StudentOfTheirs(), (X, HEAVY), model=lambda: torch.nn.Linear(2, 1).double())


def test_two_raw_outputs_have_the_names_that_the_class_gives_them() -> None:
    def nll(f: TwoOutputs, y: Real) -> Tensor:
        mean, log_scale = f.unbind(1)
        return 0.5 * ((y - mean) * torch.exp(-log_scale)) ** 2 + log_scale + 0.5 * math.log(2 * math.pi)

    mine = own(nll, outputs=("mean", "log_scale"))
    both = mlnn.estimate(mine, (X, HEAVY))
    known = mlnn.estimate("normal_learned_variance", (X, HEAVY))
    assert both.outputs == ("mean", "log_scale")
    assert both.params == pytest.approx(known.params * [1, 0.5], rel=1e-6, abs=1e-9)
    alone = mlnn.estimate(mine, (X, HEAVY), constant="log_scale")
    sigma = mlnn.estimate("normal", (X, HEAVY)).ancillary["sigma"]
    assert math.exp(alone.params[-1, 1]) == pytest.approx(sigma, rel=1e-9)


class Coral:
    """One raw output, thresholds given: its ends want it out, the class between pins it."""

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        self.low, self.high = low, high

    def nll(self, f: OneOutput, y: Ordered) -> Tensor:
        cuts = torch.tensor([-math.inf, self.low, self.high, math.inf], dtype=f.dtype)
        return -torch.log(torch.sigmoid(cuts[y + 1] - f) - torch.sigmoid(cuts[y] - f))


def test_labels_in_an_order_may_have_one_raw_output_and_thresholds_as_numbers() -> None:
    free = mlnn.estimate("ordinal", (X, LABELS))
    given = mlnn.estimate(Coral(*free.ancillary.values()), (X, LABELS), intercept=False)
    assert given.params == pytest.approx(free.params, rel=1e-6)
    assert given.llf == pytest.approx(free.llf, rel=1e-10)
    # With the class between nowhere pinned to a side, both ends go out along the first column.
    x = torch.cat([X[:, :1].sign() * (LABELS != 1)[:, None].double(), X[:, 1:]], 1)
    ends = torch.where(LABELS == 1, 1, 1 + x[:, 0].long())
    assert mlnn.estimate(Coral(), (x, ends), intercept=False).separation == "quasi"


# What is no likelihood is refused at the door, by its name.
WRONG: dict[str, tuple[Any, Tensor, str]] = {
    "couples the rows": (lambda f, y: (f - y) ** 2 / 2 + 0.9189385332046727 + 0 * f + (f - f.mean()), HEAVY, "couples the rows"),
    "binary, not normalised": (lambda f, y: (torch.sigmoid(f) - y) ** 2, YES, r"is not normalised: .* adds up to 1\.55"),
    "reals without their constant": (lambda f, y: (f - y) ** 2, HEAVY, r"adds up to 1\.77245 over the targets of 'real'"),
    "nowhere a number": (lambda f, y: torch.log(-(f**2) - 1) + 0 * y, HEAVY, "is not finite for some rows at every place"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_likelihood_is_named_at_the_door(name: str) -> None:
    nll, y, words = WRONG[name]
    with pytest.raises(ConfigError, match=f"likelihood: Mine.*{words}"):
        mlnn.estimate(own(nll), (X, y))


def test_counts_that_lack_a_factorial_are_not_normalised() -> None:
    def nll(f: Tensor, y: Counts) -> Tensor:
        return torch.exp(f) - y * f

    with pytest.raises(
        ConfigError, match=r"Mine is not normalised: exp.−nll. adds up to inf over the targets of 'counts'"
    ):
        mlnn.estimate(own(nll), (X, COUNTS))


class Misnamed(Weibull):
    free = "sigma"


class NotPositive(Weibull):
    free = "shape"

    def __init__(self, shape: float = -1.0) -> None:
        super().__init__(shape)


class Forgetful(Weibull):
    def __init__(self, shape: float = 1.0) -> None:
        super().__init__(1.0)
        self.given = shape


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (Misnamed(), r"Misnamed.free is 'sigma', .* \(shape\)"),
        (NotPositive(), "NotPositive.shape is -1; a number that is estimated must be above 0"),
        (Forgetful(), "does not keep shape as given"),
    ],
)
def test_a_free_number_that_is_none_is_refused(made: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        mlnn.estimate(made, (X, torch.exp(ETA)))
