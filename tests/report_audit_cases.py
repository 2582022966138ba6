"""Certificates for the tests of the audit's pages: one real one of every kind, and one made by hand."""

from functools import cache

import torch
from torch.nn import functional

import mlnn
from mlnn.auditing import Certificate
from mlnn.auditing.record import Curves


def bce(output, target):
    return functional.binary_cross_entropy_with_logits(output, target, reduction="none")


def hinge(output, target):
    return torch.relu(1 - (2 * target - 1) * output)


def focal(output, target):
    return (1 - torch.exp(-bce(output, target))) ** 2 * bce(output, target)


LOSSES = {
    "likelihood": (bce, "binary"),
    "scaled likelihood": (lambda f, y: 3.7 * bce(f, y), "binary"),
    "likelihood family": (lambda f, y: (f - y) ** 2, "real"),
    "proper": (lambda f, y: (torch.sigmoid(f) - y) ** 2, "binary"),
    "calibrated": (focal, "binary"),
    "no link": (hinge, "binary"),
    "unnormalisable": (lambda f, y: 0.25 * torch.log1p((f - y) ** 2), "real"),
    "batch-coupled": (lambda f, y: (f - f.mean() - y) ** 2, "real"),
    "undecided": (lambda f, y: (torch.sign(f).detach() - y) ** 2 + 0 * f, "binary"),
}


@cache
def certificates():
    """name → certificate, one of every kind."""
    return {kind: mlnn.audit(loss, targets, name=kind) for kind, (loss, targets) in LOSSES.items()}


def curve(**changed):
    line = (-1.0, -0.5, 0.0, 0.5, 1.0)
    return Curves(
        **{"output": line, "z": (1.0,) * 5, "about": 1, "implied": (0.5,) * 5, "declared": (0.5,) * 5} | changed
    )


def made(**changed):
    """A certificate by hand."""
    told = {"kind": "no link", "name": "made", "targets": "binary", "residual": 0.5, "curves": curve()}
    return Certificate(**told | changed)
