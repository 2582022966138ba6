"""What certificate.json and model.json hold, key by key: stored run folders and their readers count on it."""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from audit_cases import OUTSIDE
from report_audit_cases import LOSSES

import mlnn
from mlnn.auditing_models import audit_model, prior_of

KEYS = [
    "kind", "name", "targets", "family", "scale", "link", "base_measure", "constants", "measure", "domain", "domains",
    "residual", "unreachable", "witness", "notes", "sentence", "curves", "proof",
]  # fmt: skip
LABELS, NUMBERS = "output z about implied declared", "output z target densities"
# name → keys of the witness, keys of the curves, in order.
PARTS = {
    "likelihood": ("", f"{LABELS} z_held"),
    "scaled likelihood": ("", f"{LABELS} z_held"),
    "likelihood family": ("", "output z z_held target densities"),
    "proper": ("outputs z target temperature probability loss says", LABELS),
    "calibrated": ("outputs z target temperature probability loss says", LABELS),
    "no link": ("outputs z target probability loss says", LABELS),
    "unnormalisable": ("outputs ranges z says", NUMBERS),
    "batch-coupled": ("rows loss says", ""),
    "undecided": ("", ""),
}
OTHERS: dict[str, tuple[Callable[..., Any], str, str, str]] = {
    "worse everywhere": (lambda f, y: torch.log1p((f - y) ** 2) + f, "positive", "outputs targets loss excess says", NUMBERS),
    "lives elsewhere": (lambda f, y: (f - y) ** 2, "positive", "outputs z family lives space says", NUMBERS),
    "lives elsewhere, Z not settled": (lambda f, y: torch.exp(f) - y * f, "real", "family lives space says", NUMBERS),
    "on the circle": (lambda f, y: 1 - torch.cos(f - y), "real", "", NUMBERS),
    "Z held not settled": (
        lambda f, y: 3e5 * torch.exp(f) - y * f + torch.lgamma(y + 1), "counts", "", "output z z_held target densities"),
    "infinite as it stands": (
        lambda f, y: f + 0.5 * torch.log1p((y * torch.exp(-f)) ** 2), "real", "outputs targets loss says", ""),
}  # fmt: skip
MODES = [
    "mode",
    "factorises",
    "random",
    "shared",
    "coupled",
    "placed",
    "sized",
    "one_row",
    "stateful",
    "remembers",
    "undecided",
]  # of a model's audit


def told(loss: object, targets: str, name: str) -> dict[str, Any]:
    return mlnn.audit(loss, targets, name=name).to_dict()


def is_plain(value: object) -> bool:
    """Dicts with text keys, lists, text, numbers that are finite, None; nothing else."""
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, bool, int) or (type(value) is float and math.isfinite(value))


@pytest.mark.parametrize("name", PARTS)
def test_the_keys_of_a_certificate_and_of_its_parts_stay_in_their_order(name: str) -> None:
    found = told(*LOSSES[name], name)
    assert list(found) == KEYS
    assert is_plain(found)
    witness, curves = PARTS[name]
    assert (list(found["witness"] or {}), found["witness"] is None) == (witness.split(), not witness)
    assert (list(found["curves"]), type(found["curves"])) == (curves.split(), dict)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", OTHERS)
def test_so_do_those_of_the_other_witnesses(name: str) -> None:
    loss, targets, witness, curves = OTHERS[name]
    found = told(loss, targets, name)
    assert is_plain(found)
    assert (list(found["witness"] or {}), list(found["curves"])) == (witness.split(), curves.split()), found["sentence"]


def test_a_likelihood_as_plain_data() -> None:
    loss, targets, _ = OUTSIDE["BCE + y"]
    found = told(loss, targets, "own")
    curves = found.pop("curves")
    assert found == {
        "kind": "likelihood", "name": "own", "targets": "binary", "family": "Bernoulli", "scale": 1.0, "link": "σ(f)",
        "base_measure": {"0.0": pytest.approx(1), "1.0": pytest.approx(math.e)},
        "constants": {"0.0": pytest.approx(0, abs=1e-12), "1.0": pytest.approx(1)},
        "measure": "one constant per target", "domain": "all", "domains": {"float32": "all", "float64": "all"},
        "residual": pytest.approx(0, abs=1e-12), "unreachable": 0.0, "witness": None, "notes": [],
        "sentence": "'own' is −log of a likelihood (Bernoulli), probability σ(f), up to a constant of the target (h(y) = one"
        " constant per target): minimising it is maximum likelihood. As computed it holds at every output looked at.",
        "proof": None,
    }  # fmt: skip
    assert (curves["about"], len(curves["output"]), len(curves["implied"])) == (1, 121, 121)
    assert curves["z_held"] == pytest.approx([1] * 121)


def test_a_no_as_plain_data() -> None:
    found = told(*LOSSES["no link"], "own")
    assert found.pop("curves")["z"][60] == pytest.approx(2 * math.exp(-1), rel=1e-2)
    witness = found.pop("witness")
    assert witness | {"outputs": None, "z": None, "loss": None} == {
        "outputs": None, "z": None, "target": 0, "probability": pytest.approx(0.5), "loss": None,
        "says": "both outputs imply the same probability of the target, so −τ·log p + c would be one number at both",
    }  # fmt: skip
    assert [len(witness[key]) for key in ("outputs", "z", "loss")] == [2, 2, 2]
    assert found["notes"][0].startswith("This is the hinge")
    assert {found[key] for key in ("family", "scale", "link", "base_measure", "constants", "measure")} == {None}
    assert (found["domain"], found["domains"]) == ("none", {})


def test_what_is_not_finite_is_text_and_what_did_not_settle_is_null() -> None:
    endless = told(*LOSSES["unnormalisable"], "own")
    assert (endless["residual"], endless["family"], endless["curves"]["z"]) == ("inf", "none", None)
    half = told(lambda f, y: torch.nn.functional.softplus(f.clamp(-80, 20)) - y * f.clamp(-80, 20), "binary", "own")
    assert half["domain"][0] == pytest.approx(-80, abs=1)
    assert told(lambda f, y: torch.exp(f) - y * f + torch.lgamma(y + 1), "counts", "own")["domain"][0] == "-inf"
    far = told(*OTHERS["Z held not settled"][:2], "own")["curves"]
    assert (far["z"], far["z_held"]) == (None, None)
    assert list(told(*LOSSES["likelihood family"], "own")["curves"]["densities"]) == ["-1.0", "0.0", "1.0"]


@pytest.mark.rest
def test_the_audits_of_a_model_and_of_its_weight_decay_as_plain_data() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    found = audit_model(net, x).to_dict()
    assert list(found) == ["model", "rows", "training", "evaluation", "layers", "sentence"]
    again = json.loads(json.dumps(found))
    assert list(again["training"]) == list(again["evaluation"]) == MODES
    does = [
        "couples rows",
        *(f"moves its buffer {name}" for name in ("running_mean", "running_var", "num_batches_tracked")),
    ]
    assert again["layers"] == [{"name": "1", "class": "BatchNorm1d", "mode": "training", "does": does}]
    assert list(again["layers"][0]) == ["name", "class", "mode", "does"]
    assert audit_model(net, x, train=False).to_dict()["training"] is None
    decay = prior_of(partial(torch.optim.SGD, lr=0.1, weight_decay=0.01)).to_dict()
    assert list(decay) == (
        [
            "optimizer",
            "weight_decay",
            "rows",
            "is_prior",
            "variance",
            "gap",
            "effect",
            "left_mode",
            "from_maximum",
            "sentence",
        ]
    )
