"""Operations of torch entry by entry: by torch's name, with its arguments by torch's names, as nodes of a graph.

Losses stand here without their reduction, which `mlnn.proving.shadows` makes.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from mlnn.proving.algebra import div, exp, inv, log, mul, power, square
from mlnn.proving.core import (
    above,
    absolute,
    bce,
    bce_backward,
    bce_with_logits,
    choose,
    clamp,
    cosh,
    elu,
    entr,
    huber,
    huber_backward,
    leaky_relu,
    log1p,
    log_sigmoid,
    logaddexp,
    maximum,
    minimum,
    ndtr,
    raised,
    relu,
    sigmoid,
    sign,
    smooth_l1,
    smooth_l1_backward,
    soft_margin,
    soft_margin_backward,
    softplus,
    softplus_backward,
    tanh,
    xlogy,
)
from mlnn.proving.dtypes import either, truth
from mlnn.proving.graph import Graph, Id
from mlnn.proving.roots import HALF
from mlnn.proving.special import SPECIAL

Rule = Callable[..., Id]
"""(graph, arguments by name) → node."""


def compared(below: int, at: int, over: int) -> Rule:
    """A truth value by the sign of self − other."""

    def rule(g: Graph, self: Id, other: Id) -> Id:
        if other in (g.lost, g.endless) and self not in (g.lost, g.endless):
            return g.const(over if other == g.lost else below)
        return g.switch(g.sub(self, other), g.const(below), g.const(at), g.const(over))

    return rule


def plain(name: str) -> Rule:
    """An operation of the core, of one number."""
    return lambda g, self: g.make(name, (self,))


def _clamp(g: Graph, self: Id, min: Id | None = None, max: Id | None = None) -> Id:
    return clamp(g, self, min, max)


def _threshold(g: Graph, self: Id, threshold: Id, value: Id) -> Id:
    return g.switch(g.sub(self, threshold), value, value, self)


def _threshold_backward(g: Graph, grad_output: Id, self: Id, threshold: Id) -> Id:
    return g.switch(g.sub(self, threshold), g.zero, g.zero, grad_output)


def _lerp(g: Graph, self: Id, end: Id, weight: Id) -> Id:
    return g.add(self, mul(g, weight, g.sub(end, self)))


def _logit(g: Graph, self: Id, eps: Id | None = None) -> Id:
    if eps is not None:
        self = clamp(g, self, eps, g.sub(g.one, eps))
    return g.sub(log(g, self), log(g, g.sub(g.one, self)))


def _not(g: Graph, self: Id) -> Id:
    return choose(g, self, g.zero, g.one)


def _xor(g: Graph, self: Id, other: Id) -> Id:
    return choose(g, self, _not(g, other), truth(g, other))


def _polygamma(g: Graph, n: Id, self: Id) -> Id:
    return g.make("polygamma", (self,), (g.number(n) or Fraction(0),))


def _fmod_free(g: Graph, self: Id, other: Id, rounding_mode: object = None) -> Id:
    if rounding_mode is not None:
        raise NotImplementedError("a division that rounds")
    return div(g, self, other)


def _bce(g: Graph, self: Id, target: Id, weight: Id | None = None) -> Id:
    found = bce(g, self, target)
    return found if weight is None else mul(g, weight, found)


def _bce_backward(g: Graph, grad_output: Id, self: Id, target: Id, weight: Id | None = None) -> Id:
    found = bce_backward(g, grad_output, self, target)
    return found if weight is None else mul(g, weight, found)


def _bce_logits(g: Graph, self: Id, target: Id, weight: Id | None = None, pos_weight: Id | None = None) -> Id:
    found = bce_with_logits(g, self, target, pos_weight)
    return found if weight is None else mul(g, weight, found)


def _mse_backward(g: Graph, grad_output: Id, self: Id, target: Id) -> Id:
    return mul(g, grad_output, g.scale(2, g.sub(self, target)))


def _elu_backward(
    g: Graph, grad_output: Id, alpha: Id, scale: Id, input_scale: Id, self_or_result: Id, is_result: Any = None
) -> Id:
    if is_result:
        raise NotImplementedError("the backward pass of an ELU in place")
    bent = mul(g, mul(g, alpha, input_scale), exp(g, mul(g, self_or_result, input_scale)))
    return mul(g, grad_output, mul(g, scale, g.switch(self_or_result, bent, bent, g.one)))


def _sigmoid_backward(g: Graph, grad_output: Id, output: Id) -> Id:
    return mul(g, grad_output, mul(g, output, g.sub(g.one, output)))


def _log_sigmoid_backward(g: Graph, grad_output: Id, self: Id) -> Id:
    return mul(g, grad_output, sigmoid(g, g.neg(self)))


def _never(g: Graph, **_: Any) -> Id:
    """Of a number on paper, which is one."""
    return g.zero


def _leaky_backward(g: Graph, grad_output: Id, self: Id, negative_slope: Id, **_: Any) -> Id:
    less = mul(g, grad_output, negative_slope)
    return g.switch(self, less, less, grad_output)


def _hardtanh_backward(g: Graph, grad_output: Id, self: Id, min_val: Id, max_val: Id) -> Id:
    inside = g.switch(g.sub(self, max_val), grad_output, g.zero, g.zero)
    return g.switch(g.sub(self, min_val), g.zero, g.zero, inside)


def _hardshrink_backward(
    g: Graph, self: Id, lambd: Id, grad_out: Id | None = None, grad_output: Id | None = None
) -> Id:
    grad_out = grad_output if grad_out is None else grad_out
    assert grad_out is not None
    beyond = g.switch(g.sub(self, lambd), g.zero, g.zero, grad_out)
    return g.switch(g.add(self, lambd), grad_out, beyond, beyond)


POINTWISE: dict[str, Rule] = {
    "add": lambda g, self, other, alpha=None: g.add(self, other if alpha is None else mul(g, alpha, other)),
    "sub": lambda g, self, other, alpha=None: g.sub(self, other if alpha is None else mul(g, alpha, other)),
    "rsub": lambda g, self, other, alpha=None: g.sub(other, self if alpha is None else mul(g, alpha, self)),
    "mul": lambda g, self, other: mul(g, self, other),
    "div": _fmod_free,
    "prims::div": lambda g, self, other: div(g, self, other),
    "neg": lambda g, self: g.neg(self),
    "reciprocal": lambda g, self: inv(g, self),
    "addcmul": lambda g, self, tensor1, tensor2, value: g.add(self, mul(g, value, mul(g, tensor1, tensor2))),
    "addcdiv": lambda g, self, tensor1, tensor2, value: g.add(self, mul(g, value, div(g, tensor1, tensor2))),
    "lerp": _lerp,
    "exp": lambda g, self: exp(g, self),
    "exp2": lambda g, self: exp(g, mul(g, self, log(g, g.const(2)))),
    "expm1": lambda g, self: g.sub(exp(g, self), g.one),
    "log": lambda g, self: log(g, self),
    "log1p": lambda g, self: log1p(g, self),
    "log2": lambda g, self: div(g, log(g, self), log(g, g.const(2))),
    "log10": lambda g, self: div(g, log(g, self), log(g, g.const(10))),
    "sqrt": lambda g, self: power(g, self, HALF),
    "rsqrt": lambda g, self: power(g, self, -HALF),
    "pow": lambda g, self, exponent: raised(g, self, exponent),
    "sin": plain("sin"),
    "cos": plain("cos"),
    "atan": plain("atan"),
    "erf": plain("erf"),
    "erfc": plain("erfc"),
    "lgamma": plain("lgamma"),
    "digamma": lambda g, self: g.make("polygamma", (self,), (Fraction(0),)),
    "polygamma": _polygamma,
    "sinh": lambda g, self: cosh(g, self, -1),
    "cosh": lambda g, self: cosh(g, self),
    "tanh": lambda g, self: tanh(g, self),
    "tanh_backward": lambda g, grad_output, output: mul(g, grad_output, g.sub(g.one, square(g, output))),
    "sigmoid": lambda g, self: sigmoid(g, self),
    "sigmoid_backward": _sigmoid_backward,
    "logit": _logit,
    "log_sigmoid": lambda g, self: log_sigmoid(g, self),
    "log_sigmoid_backward": _log_sigmoid_backward,
    "softplus": lambda g, self, beta, threshold: softplus(g, self, beta, threshold),
    "softplus_backward": lambda g, grad_output, self, beta, threshold: softplus_backward(
        g, grad_output, self, beta, threshold
    ),
    "abs": lambda g, self: absolute(g, self),
    "sign": lambda g, self: sign(g, self),
    "sgn": lambda g, self: sign(g, self),
    "relu": lambda g, self: relu(g, self),
    "threshold": _threshold,
    "threshold_backward": _threshold_backward,
    "leaky_relu": lambda g, self, negative_slope: leaky_relu(g, self, negative_slope),
    "elu": lambda g, self, alpha, scale, input_scale: elu(g, self, alpha, scale, input_scale),
    "elu_backward": _elu_backward,
    "clamp": _clamp,
    "hardtanh": lambda g, self, min_val, max_val: clamp(g, self, min_val, max_val),
    "clamp_min": lambda g, self, min: clamp(g, self, min, None),
    "clamp_max": lambda g, self, max: clamp(g, self, None, max),
    "maximum": lambda g, self, other: maximum(g, self, other),
    "minimum": lambda g, self, other: minimum(g, self, other),
    "fmax": lambda g, self, other: maximum(g, self, other),
    "fmin": lambda g, self, other: minimum(g, self, other),
    "heaviside": lambda g, self, values: above(g, self, values),
    "where": lambda g, condition, self, other: choose(g, condition, self, other),
    "masked_fill": lambda g, self, mask, value: choose(g, mask, value, self),
    "eq": compared(0, 1, 0),
    "ne": compared(1, 0, 1),
    "lt": compared(1, 0, 0),
    "le": compared(1, 1, 0),
    "gt": compared(0, 0, 1),
    "ge": compared(0, 1, 1),
    "logical_not": _not,
    "bitwise_not": _not,
    "logical_and": lambda g, self, other: choose(g, self, truth(g, other), g.zero),
    "bitwise_and": lambda g, self, other: choose(g, self, other, g.zero),
    "logical_or": either,
    "bitwise_or": either,
    "logical_xor": _xor,
    "bitwise_xor": _xor,
    "xlogy": lambda g, self, other: xlogy(g, self, other),
    "special_xlog1py": lambda g, self, other: xlogy(g, self, g.linear([(Fraction(1), other)], 1)),
    "special_entr": lambda g, self: entr(g, self),
    "special_erfcx": lambda g, self: exp(g, g.make("log_erfcx", (self,))),
    "special_log_ndtr": lambda g, self: log(g, ndtr(g, self)),
    "logaddexp": lambda g, self, other: logaddexp(g, self, other),
    "binary_cross_entropy": _bce,
    "binary_cross_entropy_backward": _bce_backward,
    "binary_cross_entropy_with_logits": _bce_logits,
    "mse_loss": lambda g, self, target: square(g, g.sub(self, target)),
    "mse_loss_backward": _mse_backward,
    "smooth_l1_loss": lambda g, self, target, beta: smooth_l1(g, self, target, beta),
    "smooth_l1_loss_backward": lambda g, grad_output, self, target, beta: smooth_l1_backward(
        g, grad_output, self, target, beta
    ),
    "huber_loss": lambda g, self, target, delta: huber(g, self, target, delta),
    "huber_loss_backward": lambda g, grad_output, self, target, delta: huber_backward(
        g, grad_output, self, target, delta
    ),
    **SPECIAL,
    "isnan": _never,
    "isinf": _never,
    "nan_to_num": lambda _, self, **__: self,
    "leaky_relu_backward": _leaky_backward,
    "hardtanh_backward": _hardtanh_backward,
    "hardshrink_backward": _hardshrink_backward,
    "softshrink_backward": _hardshrink_backward,
    "soft_margin_loss": lambda g, self, target: soft_margin(g, self, target),
    "soft_margin_loss_backward": lambda g, grad_output, self, target: soft_margin_backward(
        g, grad_output, self, target
    ),
}
"""By torch's name. Losses without their reduction, which `mlnn.proving.tracing` makes."""
