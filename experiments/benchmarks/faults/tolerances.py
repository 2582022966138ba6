"""Five fixed tolerances in common use: what each would have said of a pair, from the losses of the same run."""

import numpy as np
import torch


def first_loss(left: np.ndarray, right: np.ndarray, dtype: torch.dtype) -> bool:
    """What `torch.testing.assert_close` says, with its defaults for the dtype, of the first loss."""
    pair = (torch.tensor(losses[0], dtype=torch.float64).to(dtype) for losses in (right, left))
    try:
        torch.testing.assert_close(*pair)
    except AssertionError:
        return False
    return True


def tight_curve(left: np.ndarray, right: np.ndarray, dtype: torch.dtype) -> bool:  # noqa: ARG001
    """All losses within rtol 1e-5 and atol 1e-8 (the defaults of `allclose`)."""
    return bool(np.isfinite(left).all() and np.allclose(right, left, rtol=1e-5, atol=1e-8))


def loose_curve(left: np.ndarray, right: np.ndarray, dtype: torch.dtype) -> bool:  # noqa: ARG001
    """Losses within 5 %, at all but 1 % of the steps."""
    near = np.isfinite(left) & np.isclose(right, left, rtol=0.05, atol=0)
    return bool(np.mean(~near) <= 0.01)


def bfloat_curve(left: np.ndarray, right: np.ndarray, dtype: torch.dtype) -> bool:  # noqa: ARG001
    """All losses within what `torch.testing` grants bfloat16, rtol 1.6e-2 and atol 1e-5, whatever the run was in."""
    return torch.allclose(torch.tensor(right), torch.tensor(left), rtol=1.6e-2, atol=1e-5) and bool(
        np.isfinite(left).all()
    )


def five_decimals(left: np.ndarray, right: np.ndarray, dtype: torch.dtype) -> bool:  # noqa: ARG001
    """The losses of the first step print alike with five decimals."""
    return bool(np.isfinite(left[0])) and f"{left[0]:.5f}" == f"{right[0]:.5f}"


TOLERANCES = {
    "first_loss": first_loss,
    "five_decimals": five_decimals,
    "tight_curve": tight_curve,
    "bfloat_curve": bfloat_curve,
    "loose_curve": loose_curve,
}
"""Each: (left losses, right losses, dtype) → True where it would have passed the pair as the same."""
