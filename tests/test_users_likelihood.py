"""A likelihood class from outside the repository, with `nll` alone: train, compare, audit and estimate take it as their own."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from app_cases import command, write
from torch import Tensor

import mlnn
from mlnn.errors import ConfigError
from mlnn.likelihoods import Bernoulli, Likelihood, Normal, StudentT, adopted
from mlnn.objectives import Counts, Objective, TwoOutputs, likelihood_of
from mlnn.runs import read_json, read_run
from mlnn.targets import TargetSpace

_draws = torch.Generator().manual_seed(3)
X = torch.randn(240, 2, generator=_draws, dtype=torch.float64)
ETA = X @ torch.tensor([0.5, -1.0], dtype=torch.float64) + 0.3
U = torch.rand(240, generator=_draws, dtype=torch.float64)


class Cloglog:
    """Bernoulli with P(y = 1) = 1 − exp(−e^f)."""

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        rate = torch.exp(output)
        return (1 - target) * rate - target * torch.log(-torch.expm1(-rate))


class Exponential:
    """Density e^(−f) exp(−y e^(−f))."""

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return output + target * torch.exp(-output)


class Gumbel:
    """Location f, scale β: a number of its own, which it keeps."""

    def __init__(self, beta: float = 2.0) -> None:
        self.beta = beta

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        z = (target - output) / self.beta
        return z + torch.exp(-z) + math.log(self.beta)


class Logistic2:
    """Location and log scale, both linear in x."""

    def nll(self, output: TwoOutputs, target: Tensor) -> Tensor:
        place, log_scale = output.unbind(1)
        z = (target - place) * torch.exp(-log_scale)
        return z + 2 * torch.nn.functional.softplus(-z) + log_scale


class PoissonOfTheirs:
    def nll(self, output: Tensor, target: Counts) -> Tensor:
        return torch.exp(output) - target * output + torch.lgamma(target + 1)


class Levels:
    """A link that levels off at 0.1 and 0.9: labels that a plane separates leave it a maximum, or a flat way to none."""

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        p = 0.1 + 0.8 * torch.sigmoid(output)
        return -(target * torch.log(p) + (1 - target) * torch.log(1 - p))


BINARY = (-torch.expm1(-torch.exp(ETA)) > U).double()
TIMES = -torch.log(U) * torch.exp(ETA)
COUNTS = torch.poisson(torch.exp(0.5 * ETA), generator=_draws)


def test_a_link_of_ones_own_gives_what_statsmodels_gives() -> None:
    found = mlnn.estimate(Cloglog(), (X, BINARY))
    link = sm.families.Binomial(sm.families.links.CLogLog())
    table = sm.add_constant(X.numpy(), prepend=False)
    theirs = sm.GLM(BINARY.numpy(), table, family=link).fit(tol=1e-12, tol_criterion="params")
    assert found.params == pytest.approx(theirs.params, rel=1e-9)
    assert found.llf == pytest.approx(theirs.llf, rel=1e-12)
    observed = np.sqrt(np.diag(np.linalg.inv(-theirs.model.hessian(theirs.params, observed=True))))
    assert found.bse == pytest.approx(observed, rel=1e-7)
    assert found.cov == "observed"
    assert found.separation == "none"
    assert found.deviance is None
    assert "not of the catalogue" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("mine", "theirs", "y"),
    [(Exponential(), "gamma", TIMES), (PoissonOfTheirs(), "poisson", COUNTS)],
    ids=["exponential", "poisson"],
)
def test_a_rewritten_likelihood_has_the_maximum_of_the_catalogues_one(mine: Any, theirs: str, y: Tensor) -> None:
    found, known = mlnn.estimate(mine, (X, y)), mlnn.estimate(theirs, (X, y))
    assert found.params == pytest.approx(known.params, rel=1e-8)
    if theirs == "poisson":
        assert found.llf == pytest.approx(known.llf, rel=1e-13)
        assert found.bse == pytest.approx(known.bse, rel=1e-8)  # a canonical link: observed is expected


def test_numbers_that_it_keeps_are_told_and_two_raw_outputs_are_named() -> None:
    gumbel = mlnn.estimate(Gumbel(1.5), (X, ETA - 1.5 * torch.log(-torch.log(U))))
    assert gumbel.ancillary == {"beta": 1.5}
    assert "beta=1.5" in " ".join(gumbel.notes)
    logistic = mlnn.estimate(Logistic2(), (X, ETA + torch.logit(U)))
    assert logistic.params.shape == (3, 2)
    assert logistic.outputs == ("output 0", "output 1")
    assert np.abs(logistic.params[:, 0] - [0.5, -1.0, 0.3]).max() < 4 * logistic.bse[:, 0].max()
    assert np.abs(logistic.params[:, 1]).max() < 4 * logistic.bse[:, 1].max()


def test_a_model_is_estimated_with_it_too() -> None:
    linear = mlnn.estimate(Cloglog(), (X, BINARY))
    found = mlnn.estimate(Cloglog(), (X, BINARY), model=lambda: torch.nn.Linear(2, 1).double())
    assert found.params == pytest.approx(linear.params, rel=1e-6)
    assert found.bse == pytest.approx(linear.bse, rel=1e-6)
    assert found.likelihood == "Cloglog"


def test_separation_is_said_where_the_link_reaches_0_and_1_and_only_there() -> None:
    labels = (X[:, 0] > 0).double()
    gone = mlnn.estimate(Cloglog(), (X, labels), max_iter=10)
    assert gone.separation == "complete"
    found = mlnn.estimate(Levels(), (X, labels))
    assert found.separation == "none"
    assert -30 < found.llf <= 240 * math.log(0.9)


class Derived(Likelihood):
    """What CONTRIBUTING says of a base class, with `nll` alone."""

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return Cloglog().nll(output, target)


def test_a_class_that_derives_from_the_base_with_nll_alone_is_estimated_too() -> None:
    found, plain = (mlnn.estimate(one, (X, BINARY)) for one in (Derived(), Cloglog()))
    assert found.params == pytest.approx(plain.params, rel=1e-12)
    assert found.cov == plain.cov == "observed"
    assert Derived().typical(ETA) is None


def raising(_output: Tensor, _target: Tensor) -> Tensor:
    raise KeyError("mine")


@pytest.mark.parametrize(
    ("nll", "words"),
    [
        (lambda o, t: ((o - t) ** 2).mean(), r"gave shape \(\)"),
        (lambda o, t: (o - t[:, None]) ** 2, r"gave shape \(3, 3\)"),
        (lambda _o, _t: 1.0, "gave float"),
        (lambda o, t: (o.detach() - t) ** 2, "does not depend on the raw output"),
        (raising, "raised KeyError: 'mine'"),
    ],
)
def test_an_nll_that_is_none_is_refused(nll: Callable[[Tensor, Tensor], Any], words: str) -> None:
    given = type("Mine", (), {"nll": staticmethod(nll)})()
    with pytest.raises(ConfigError, match=words):
        mlnn.estimate(given, (X, ETA))


@pytest.mark.parametrize(
    ("given", "words"), [(Cloglog, "is a class; give an instance"), (object(), "has no nll"), (None, "has no nll")]
)
def test_what_is_no_likelihood_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        mlnn.estimate(given, (X, BINARY))


def test_a_subclass_of_a_shipped_one_keeps_its_facts() -> None:
    class Mine(Bernoulli):
        pass

    assert adopted(Mine()).canonical
    assert mlnn.estimate(Mine(), (X, BINARY)).params == pytest.approx(mlnn.estimate("bernoulli", (X, BINARY)).params)


def test_what_a_family_says_of_itself_is_what_autograd_finds() -> None:
    """The defaults of a stranger's class and the closed forms of the shipped ones, at one place."""
    for likelihood in (Normal(0.7), StudentT(3.0, 2.0)):
        output = torch.linspace(-2, 2, 5, dtype=torch.float64)
        draws = likelihood.sample(output.repeat(400_000, 1), torch.Generator().manual_seed(0))
        at = output.repeat(400_000, 1).requires_grad_()
        (slope,) = torch.autograd.grad(likelihood.nll(at, draws).sum(), at)
        told = likelihood.information(output) or 1 / likelihood.dispersion
        assert slope.square().mean(0) == pytest.approx(float(told) * np.ones(5), rel=0.02)
    assert Likelihood().information(torch.zeros(1)) is None


def test_an_objective_with_nll_alone_is_read_as_a_likelihood() -> None:
    found = likelihood_of(Objective.of(Cloglog(), TargetSpace("binary")))
    assert found is not None
    assert (found.name, found.canonical, found.free, found.samples) == ("Cloglog", False, None, False)
    assert found.least(BINARY) is None


ZOO = """
import torch

class Cloglog:
    def nll(self, output, target):
        rate = torch.exp(output)
        return (1 - target) * rate - target * torch.log(-torch.expm1(-rate))

class Same:
    def nll(self, output, target):
        return torch.where(target > 0.5, -torch.log(-torch.expm1(-torch.exp(output))), torch.exp(output))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    write(
        tmp_path,
        {
            "my_links.py": ZOO,
            "conf/objective/cloglog.yaml": "# Theirs.\n_target_: my_links.Cloglog\n",
            "conf/objective/same.yaml": "# The same, written otherwise.\n_target_: my_links.Same\n",
        },
    )
    monkeypatch.chdir(tmp_path)
    return ("--config-dir", "conf", "trust=[my_links]")


@pytest.mark.rest
def test_all_four_commands_take_it_from_a_yaml(home: tuple[str, ...]) -> None:
    shared = (*home, "data=spector", "model=logistic", "batch_size=16", "steps=5")
    train = command("train", *shared, "objective=cloglog", "out=train")
    assert (train.code, train.err) == (0, "")
    about = read_run("train").about
    assert about["likelihood"]["likelihood"] == "Cloglog"
    assert about["likelihood"]["deviance"] is None
    assert about["mle"]["separation"] == "none"
    compare = command("compare", *shared, "objective@left=cloglog", "objective@right=same", "null_twins=0", "out=both")
    assert (compare.code, compare.err) == (0, "")
    assert read_run("both").verdict["relation"] in ("equal", "indistinguishable")
    audit = command("audit", *home, "objective=cloglog", "targets=binary", "out=audit")
    assert (audit.code, audit.err) == (0, "")
    assert read_json(Path("audit/certificate.json"))["kind"] == "likelihood"
    estimate = command("estimate", *home, "data=spector", "objective=cloglog", "steps=5", "out=mle")
    assert (estimate.code, estimate.err) == (0, "")
    told = read_json(Path("mle/estimate.json"))
    assert told["likelihood"] == "Cloglog"
    assert told["separation"] == "none"
    assert told["beside"]["found"]["separation"] == "none"
    both = command("estimate", *home, "data=spector", "objective=cloglog", "likelihood=bernoulli")
    assert both.code == 2
    assert "beside objective=" in both.err
    none = command("estimate", "data=spector", "objective=hinge")
    assert none.code == 2
    assert "no likelihood is known for 'hinge'" in none.err
