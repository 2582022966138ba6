"""What each operation of torch is on paper: numbers in, numbers out, made of the core of `mlnn.proving.graph`.

An operation stands here by the name that torch gives it, with its arguments by torch's names. Constants of torch's kernels (the
clamp of `binary_cross_entropy` at −100, the 1e-12 of its backward pass, thresholds) are part of what is written.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from mlnn.proving.graph import Graph, Id

Rule = Callable[..., Id]
"""(graph, arguments by name) → node."""
HALF = Fraction(1, 2)
BCE_CLAMP, BCE_EPSILON = -100.0, 1e-12
"""Of torch's kernels (ATen/native/cpu/LossKernel and Loss.cpp): the least a logarithm counts, the least that is divided by."""
LOG_2, LOG_10 = (math.log(base) for base in (2.0, 10.0))


def log1p(g: Graph, x: Id) -> Id:
    return g.log(g.linear([(Fraction(1), x)], 1))


def exp(g: Graph, x: Id) -> Id:
    return g.exp(x)


def log(g: Graph, x: Id) -> Id:
    return g.log(x)


def sigmoid(g: Graph, x: Id) -> Id:
    """1 / (1 + e^(−x))."""
    return g.inv(g.linear([(Fraction(1), exp(g, g.neg(x)))], 1))


def log_sigmoid(g: Graph, x: Id) -> Id:
    return g.neg(log1p(g, exp(g, g.neg(x))))


def tanh(g: Graph, x: Id) -> Id:
    """1 − 2 / (1 + e^(2x))."""
    return g.linear([(Fraction(-2), g.inv(g.linear([(Fraction(1), exp(g, g.scale(2, x)))], 1)))], 1)


def above(g: Graph, x: Id, at: Id | None = None) -> Id:
    """1 where x > 0, else 0; at 0 as told."""
    return g.switch(x, g.zero, g.zero if at is None else at, g.one)


def relu(g: Graph, x: Id) -> Id:
    return g.switch(x, g.zero, g.zero, x)


def absolute(g: Graph, x: Id) -> Id:
    return g.switch(x, g.neg(x), g.zero, x)


def sign(g: Graph, x: Id) -> Id:
    return g.switch(x, g.const(-1), g.zero, g.one)


def maximum(g: Graph, left: Id, right: Id) -> Id:
    return g.switch(g.sub(left, right), right, left, left)


def minimum(g: Graph, left: Id, right: Id) -> Id:
    return g.switch(g.sub(left, right), left, left, right)


def choose(g: Graph, condition: Id, yes: Id, no: Id) -> Id:
    """By a truth value, 0 or 1."""
    node = g.nodes[condition]
    known = [g.number(one) for one in node.args[1:]] if node.op == "switch" else []
    if node.op == "switch" and None not in known:
        return g.switch(node.args[0], *(yes if number else no for number in known))
    half = g.linear([(Fraction(1), condition)], -HALF)
    return g.switch(half, no, no, yes)


def clamp(g: Graph, x: Id, low: Id | None, high: Id | None) -> Id:
    found = x if low is None else maximum(g, x, low)
    return found if high is None else minimum(g, found, high)


def softplus(g: Graph, x: Id, beta: Id, threshold: Id) -> Id:
    """log(1 + e^(βx)) / β up to the threshold of βx, x itself beyond."""
    scaled = g.mul(beta, x)
    smooth = g.div(log1p(g, exp(g, scaled)), beta)
    return g.switch(g.sub(scaled, threshold), smooth, smooth, x)


def softplus_backward(g: Graph, grad: Id, x: Id, beta: Id, threshold: Id) -> Id:
    scaled = g.mul(beta, x)
    smooth = g.mul(grad, sigmoid(g, scaled))
    return g.switch(g.sub(scaled, threshold), smooth, smooth, grad)


def xlogy(g: Graph, x: Id, y: Id) -> Id:
    """x log y, 0 at x = 0."""
    number = g.number(x)
    if number is not None:
        return g.scale(number, log(g, y)) if number else g.zero
    return g.switch(x, *([product, g.zero, product] if (product := g.mul(x, log(g, y))) is not None else []))


def bce(g: Graph, p: Id, y: Id) -> Id:
    """−y·max(log p, −100) − (1−y)·max(log(1−p), −100)."""
    floor, other = g.const(BCE_CLAMP), g.sub(g.one, p)
    kept, left = (maximum(g, log(g, one), floor) for one in (p, other))
    return g.neg(g.add(g.mul(y, kept), g.mul(g.sub(g.one, y), left)))


def bce_backward(g: Graph, grad: Id, p: Id, y: Id) -> Id:
    spread = maximum(g, g.mul(p, g.sub(g.one, p)), g.const(BCE_EPSILON))
    return g.mul(grad, g.div(g.sub(p, y), spread))


def bce_with_logits(g: Graph, z: Id, y: Id, pos_weight: Id | None = None) -> Id:
    """(1−y) z + w·log(1 + e^(−z)), w = 1 + (pos_weight − 1) y."""
    smooth = log1p(g, exp(g, g.neg(z)))
    if pos_weight is not None:
        smooth = g.mul(smooth, g.linear([(Fraction(1), g.mul(g.sub(pos_weight, g.one), y))], 1))
    return g.add(g.mul(g.sub(g.one, y), z), smooth)


def smooth_l1(g: Graph, x: Id, y: Id, beta: Id) -> Id:
    r = absolute(g, g.sub(x, y))
    if g.number(beta) == 0:
        return r
    near = g.scale(HALF, g.div(g.square(r), beta))
    far = g.sub(r, g.scale(HALF, beta))
    return g.switch(g.sub(r, beta), near, far, far)


def smooth_l1_backward(g: Graph, grad: Id, x: Id, y: Id, beta: Id) -> Id:
    r = g.sub(x, y)
    if g.number(beta) == 0:
        return g.mul(grad, sign(g, r))
    inner = g.switch(g.sub(r, beta), g.div(r, beta), g.one, g.one)
    return g.mul(grad, g.switch(g.add(r, beta), g.const(-1), g.const(-1), inner))


def huber(g: Graph, x: Id, y: Id, delta: Id) -> Id:
    r = absolute(g, g.sub(x, y))
    near = g.scale(HALF, g.square(r))
    far = g.mul(delta, g.sub(r, g.scale(HALF, delta)))
    return g.switch(g.sub(r, delta), near, near, far)


def huber_backward(g: Graph, grad: Id, x: Id, y: Id, delta: Id) -> Id:
    r = g.sub(x, y)
    inner = g.switch(g.sub(r, delta), r, delta, delta)
    return g.mul(grad, g.switch(g.add(r, delta), g.neg(delta), g.neg(delta), inner))


def soft_margin(g: Graph, x: Id, y: Id) -> Id:
    return log1p(g, exp(g, g.neg(g.mul(x, y))))


def soft_margin_backward(g: Graph, grad: Id, x: Id, y: Id) -> Id:
    return g.neg(g.mul(grad, g.mul(y, sigmoid(g, g.neg(g.mul(x, y))))))


def logaddexp(g: Graph, left: Id, right: Id) -> Id:
    return g.add(left, log1p(g, exp(g, g.sub(right, left))))


def ndtr(g: Graph, x: Id) -> Id:
    return g.scale(HALF, g.make("erfc", (g.mul(g.neg(x), g.make("power", (g.const(2),), -HALF)),)))


def power(g: Graph, x: Id, exponent: Id) -> Id:
    """A fixed exponent, or e^(exponent·log x)."""
    number = g.number(exponent)
    if number is not None:
        return g.power(x, number)
    if (base := g.number(x)) is not None and base > 0:
        return exp(g, g.mul(exponent, log(g, x)))
    return exp(g, g.mul(exponent, log(g, x)))


def leaky_relu(g: Graph, x: Id, slope: Id) -> Id:
    return g.switch(x, g.mul(slope, x), g.zero, x)


def elu(g: Graph, x: Id, alpha: Id, scale: Id, input_scale: Id) -> Id:
    bent = g.mul(alpha, g.sub(exp(g, g.mul(x, input_scale)), g.one))
    return g.mul(scale, g.switch(x, bent, bent, x))


def cosh(g: Graph, x: Id, other: int = 1) -> Id:
    """(e^x + e^(−x)) / 2, or with a minus between."""
    return g.linear([(HALF, exp(g, x)), (HALF * other, exp(g, g.neg(x)))])


def entr(g: Graph, x: Id) -> Id:
    return g.neg(xlogy(g, x, x))


def compared(below: int, at: int, over: int) -> Rule:
    """A truth value by the sign of self − other."""

    def rule(g: Graph, self: Id, other: Id) -> Id:
        return g.switch(g.sub(self, other), g.const(below), g.const(at), g.const(over))

    return rule


def plain(name: str) -> Rule:
    """An operation of the core, of one number."""
    return lambda g, self: g.make(name, (self,))


def _clamp(g: Graph, self: Id, min: Id | None = None, max: Id | None = None) -> Id:  # noqa: A002 - torch's names
    return clamp(g, self, min, max)


def _threshold(g: Graph, self: Id, threshold: Id, value: Id) -> Id:
    return g.switch(g.sub(self, threshold), value, value, self)


def _threshold_backward(g: Graph, grad_output: Id, self: Id, threshold: Id) -> Id:
    return g.switch(g.sub(self, threshold), g.zero, g.zero, grad_output)


def _lerp(g: Graph, self: Id, end: Id, weight: Id) -> Id:
    return g.add(self, g.mul(weight, g.sub(end, self)))


def _not(g: Graph, self: Id) -> Id:
    return choose(g, self, g.zero, g.one)


def _or(g: Graph, self: Id, other: Id) -> Id:
    return choose(g, self, g.one, other)


def _xor(g: Graph, self: Id, other: Id) -> Id:
    return choose(g, self, _not(g, other), other)


def _polygamma(g: Graph, n: Id, self: Id) -> Id:
    return g.make("polygamma", (self,), int(g.number(n) or 0))


def _fmod_free(g: Graph, self: Id, other: Id, rounding_mode: object = None) -> Id:
    if rounding_mode is not None:
        raise NotImplementedError("a division that rounds")
    return g.div(self, other)


def _bce(g: Graph, self: Id, target: Id, weight: Id | None = None) -> Id:
    found = bce(g, self, target)
    return found if weight is None else g.mul(weight, found)


def _bce_backward(g: Graph, grad_output: Id, self: Id, target: Id, weight: Id | None = None) -> Id:
    found = bce_backward(g, grad_output, self, target)
    return found if weight is None else g.mul(weight, found)


def _bce_logits(g: Graph, self: Id, target: Id, weight: Id | None = None, pos_weight: Id | None = None) -> Id:
    found = bce_with_logits(g, self, target, pos_weight)
    return found if weight is None else g.mul(weight, found)


def _mse_backward(g: Graph, grad_output: Id, self: Id, target: Id) -> Id:
    return g.mul(grad_output, g.scale(2, g.sub(self, target)))


def _elu_backward(
    g: Graph, grad_output: Id, alpha: Id, scale: Id, input_scale: Id, is_result: Any, self_or_result: Id
) -> Id:
    if is_result:
        raise NotImplementedError("the backward pass of an ELU in place")
    bent = g.mul(g.mul(alpha, input_scale), exp(g, g.mul(self_or_result, input_scale)))
    return g.mul(grad_output, g.mul(scale, g.switch(self_or_result, bent, bent, g.one)))


def _sigmoid_backward(g: Graph, grad_output: Id, output: Id) -> Id:
    return g.mul(grad_output, g.mul(output, g.sub(g.one, output)))


def _log_sigmoid_backward(g: Graph, grad_output: Id, self: Id) -> Id:
    return g.mul(grad_output, sigmoid(g, g.neg(self)))


POINTWISE: dict[str, Rule] = {
    "add": lambda g, self, other, alpha=None: g.add(self, other if alpha is None else g.mul(alpha, other)),
    "sub": lambda g, self, other, alpha=None: g.sub(self, other if alpha is None else g.mul(alpha, other)),
    "rsub": lambda g, self, other, alpha=None: g.sub(other, self if alpha is None else g.mul(alpha, self)),
    "mul": lambda g, self, other: g.mul(self, other),
    "div": _fmod_free,
    "neg": lambda g, self: g.neg(self),
    "reciprocal": lambda g, self: g.inv(self),
    "square": lambda g, self: g.square(self),
    "addcmul": lambda g, self, tensor1, tensor2, value: g.add(self, g.mul(value, g.mul(tensor1, tensor2))),
    "addcdiv": lambda g, self, tensor1, tensor2, value: g.add(self, g.mul(value, g.div(tensor1, tensor2))),
    "lerp": _lerp,
    "exp": lambda g, self: exp(g, self),
    "exp2": lambda g, self: exp(g, g.mul(self, g.log(g.const(2)))),
    "expm1": lambda g, self: g.sub(exp(g, self), g.one),
    "log": lambda g, self: log(g, self),
    "log1p": lambda g, self: log1p(g, self),
    "log2": lambda g, self: g.div(log(g, self), g.log(g.const(2))),
    "log10": lambda g, self: g.div(log(g, self), g.log(g.const(10))),
    "sqrt": lambda g, self: g.power(self, HALF),
    "rsqrt": lambda g, self: g.power(self, -HALF),
    "pow": lambda g, self, exponent: power(g, self, exponent),
    "sin": plain("sin"),
    "cos": plain("cos"),
    "atan": plain("atan"),
    "erf": plain("erf"),
    "erfc": plain("erfc"),
    "lgamma": plain("lgamma"),
    "digamma": lambda g, self: g.make("polygamma", (self,), 0),
    "polygamma": _polygamma,
    "sinh": lambda g, self: cosh(g, self, -1),
    "cosh": lambda g, self: cosh(g, self),
    "tanh": lambda g, self: tanh(g, self),
    "tanh_backward": lambda g, grad_output, output: g.mul(grad_output, g.sub(g.one, g.square(output))),
    "sigmoid": lambda g, self: sigmoid(g, self),
    "sigmoid_backward": _sigmoid_backward,
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
    "logical_and": lambda g, self, other: choose(g, self, other, g.zero),
    "bitwise_and": lambda g, self, other: choose(g, self, other, g.zero),
    "__and__": lambda g, self, other: choose(g, self, other, g.zero),
    "logical_or": _or,
    "bitwise_or": _or,
    "__or__": _or,
    "logical_xor": _xor,
    "bitwise_xor": _xor,
    "xlogy": lambda g, self, other: xlogy(g, self, other),
    "special_xlog1py": lambda g, self, other: xlogy(g, self, g.linear([(Fraction(1), other)], 1)),
    "special_entr": lambda g, self: entr(g, self),
    "special_ndtr": lambda g, self: ndtr(g, self),
    "special_log_ndtr": lambda g, self: log(g, ndtr(g, self)),
    "logaddexp": lambda g, self, other: logaddexp(g, self, other),
    "binary_cross_entropy": _bce,
    "binary_cross_entropy_backward": _bce_backward,
    "binary_cross_entropy_with_logits": _bce_logits,
    "mse_loss": lambda g, self, target: g.square(g.sub(self, target)),
    "mse_loss_backward": _mse_backward,
    "smooth_l1_loss": lambda g, self, target, beta: smooth_l1(g, self, target, beta),
    "smooth_l1_loss_backward": lambda g, grad_output, self, target, beta: smooth_l1_backward(
        g, grad_output, self, target, beta
    ),
    "huber_loss": lambda g, self, target, delta: huber(g, self, target, delta),
    "huber_loss_backward": lambda g, grad_output, self, target, delta: huber_backward(
        g, grad_output, self, target, delta
    ),
    "soft_margin_loss": lambda g, self, target: soft_margin(g, self, target),
    "soft_margin_loss_backward": lambda g, grad_output, self, target: soft_margin_backward(
        g, grad_output, self, target
    ),
}
"""By torch's name. Losses without their reduction, which `mlnn.proving.tracing` makes."""
