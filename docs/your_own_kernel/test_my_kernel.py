"""A kernel author's pytest: one kernel that is right, one that drops small probabilities in its backward, one other mean."""

import torch
import torch.nn.functional as F

from mlnn.testing import assert_same_objective


class FusedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy over the positions that count, in float32 whatever it is given, gradient made in the forward pass."""

    @staticmethod
    def forward(ctx, logits, labels, floor):
        kept = labels != -100
        logs = torch.log_softmax(logits.float(), -1)
        own = logs.gather(-1, labels.clamp_min(0)[..., None])[..., 0]
        p = logs.exp()
        p = torch.where(p < floor, 0.0, p)
        slope = p - F.one_hot(labels.clamp_min(0), logits.shape[-1])
        ctx.save_for_backward(slope * kept[..., None] / kept.sum())
        ctx.dtype = logits.dtype
        return (-(own * kept).sum() / kept.sum()).to(logits.dtype)

    @staticmethod
    def backward(ctx, upstream):
        (slope,) = ctx.saved_tensors
        return (upstream * slope).to(ctx.dtype), None, None


def fused(logits, labels):
    return FusedCrossEntropy.apply(logits, labels, 0.0)


def faster(logits, labels):
    return FusedCrossEntropy.apply(logits, labels, 1e-3)


def plain(logits, labels):
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten())


def per_sequence(logits, labels):
    each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    return (each.sum(1) / (labels != -100).sum(1)).mean()


SEQUENCES = {"targets": "classes(12, ignore=-100)", "shape": (7,)}


def test_the_fused_kernel() -> None:
    assert_same_objective(plain, fused, **SEQUENCES)


def test_the_faster_kernel() -> None:
    assert_same_objective(plain, faster, **SEQUENCES)


def test_the_mean_of_means() -> None:
    assert_same_objective(plain, per_sequence, **SEQUENCES)
