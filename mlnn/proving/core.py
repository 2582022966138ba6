"""What functions of torch are on paper, made of the small core that `mlnn.proving.rules` has a rule for.

Constants of torch's kernels (the clamp of `binary_cross_entropy` at −100, the 1e-12 of its backward pass, thresholds) are part of
what is written.
"""

from fractions import Fraction

from mlnn.proving.algebra import div, exp, inv, log, mul, power, square
from mlnn.proving.exact import SIMPLE
from mlnn.proving.graph import Graph, Id
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.roots import HALF

TWICE_ROUNDED = Fraction(1, 2**52)
"""Of an exponent, how far it may be from the simple fraction that it stands for."""
BCE_CLAMP, BCE_EPSILON = -100.0, 1e-12
"""Of torch's kernels (ATen/native/cpu/LossKernel and Loss.cpp): the least a logarithm counts, the least that is divided by."""


def log1p(g: Graph, x: Id) -> Id:
    return log(g, g.linear([(Fraction(1), x)], 1))


def sigmoid(g: Graph, x: Id) -> Id:
    """1 / (1 + e^(−x))."""
    return inv(g, g.linear([(Fraction(1), exp(g, g.neg(x)))], 1))


def log_sigmoid(g: Graph, x: Id) -> Id:
    return g.neg(log1p(g, exp(g, g.neg(x))))


def tanh(g: Graph, x: Id) -> Id:
    """1 − 2 / (1 + e^(2x))."""
    return g.linear([(Fraction(-2), inv(g, g.linear([(Fraction(1), exp(g, g.scale(2, x)))], 1)))], 1)


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
    scaled = mul(g, beta, x)
    smooth = div(g, log1p(g, exp(g, scaled)), beta)
    return g.switch(g.sub(scaled, threshold), smooth, smooth, x)


def softplus_backward(g: Graph, grad: Id, x: Id, beta: Id, threshold: Id) -> Id:
    scaled = mul(g, beta, x)
    smooth = mul(g, grad, sigmoid(g, scaled))
    return g.switch(g.sub(scaled, threshold), smooth, smooth, grad)


def xlogy(g: Graph, x: Id, y: Id) -> Id:
    """x log y, 0 at x = 0, also where the logarithm has no value."""
    number, inner = g.number(x), log(g, y)
    if number is not None:
        return g.scale(number, inner) if number else g.zero
    product = mul(g, x, inner)
    return product if g.total[inner] else g.switch(x, product, g.zero, product)


def bce(g: Graph, p: Id, y: Id) -> Id:
    """−y·max(log p, −100) − (1−y)·max(log(1−p), −100)."""
    floor, other = g.const(BCE_CLAMP), g.sub(g.one, p)
    kept, left = (maximum(g, log(g, one), floor) for one in (p, other))
    return g.neg(g.add(mul(g, y, kept), mul(g, g.sub(g.one, y), left)))


def bce_backward(g: Graph, grad: Id, p: Id, y: Id) -> Id:
    spread = maximum(g, mul(g, p, g.sub(g.one, p)), g.const(BCE_EPSILON))
    return mul(g, grad, div(g, g.sub(p, y), spread))


def bce_with_logits(g: Graph, z: Id, y: Id, pos_weight: Id | None = None) -> Id:
    """(1−y) z + w·log(1 + e^(−z)), w = 1 + (pos_weight − 1) y."""
    smooth = log1p(g, exp(g, g.neg(z)))
    if pos_weight is not None:
        smooth = mul(g, smooth, g.linear([(Fraction(1), mul(g, g.sub(pos_weight, g.one), y))], 1))
    return g.add(mul(g, g.sub(g.one, y), z), smooth)


def smooth_l1(g: Graph, x: Id, y: Id, beta: Id) -> Id:
    r = absolute(g, g.sub(x, y))
    if g.number(beta) == 0:
        return r
    near = g.scale(HALF, div(g, square(g, r), beta))
    far = g.sub(r, g.scale(HALF, beta))
    return g.switch(g.sub(r, beta), near, far, far)


def smooth_l1_backward(g: Graph, grad: Id, x: Id, y: Id, beta: Id) -> Id:
    r = g.sub(x, y)
    if g.number(beta) == 0:
        return mul(g, grad, sign(g, r))
    inner = g.switch(g.sub(r, beta), div(g, r, beta), g.one, g.one)
    return mul(g, grad, g.switch(g.add(r, beta), g.const(-1), g.const(-1), inner))


def huber(g: Graph, x: Id, y: Id, delta: Id) -> Id:
    r = absolute(g, g.sub(x, y))
    near = g.scale(HALF, square(g, r))
    far = mul(g, delta, g.sub(r, g.scale(HALF, delta)))
    return g.switch(g.sub(r, delta), near, near, far)


def huber_backward(g: Graph, grad: Id, x: Id, y: Id, delta: Id) -> Id:
    r = g.sub(x, y)
    inner = g.switch(g.sub(r, delta), r, delta, delta)
    return mul(g, grad, g.switch(g.add(r, delta), g.neg(delta), g.neg(delta), inner))


def soft_margin(g: Graph, x: Id, y: Id) -> Id:
    return log1p(g, exp(g, g.neg(mul(g, x, y))))


def soft_margin_backward(g: Graph, grad: Id, x: Id, y: Id) -> Id:
    return g.neg(mul(g, grad, mul(g, y, sigmoid(g, g.neg(mul(g, x, y))))))


def logaddexp(g: Graph, left: Id, right: Id) -> Id:
    return g.add(left, log1p(g, exp(g, g.sub(right, left))))


def ndtr(g: Graph, x: Id) -> Id:
    return g.scale(HALF, g.make("erfc", (mul(g, g.neg(x), power(g, g.const(2), -HALF)),)))


def raised(g: Graph, x: Id, exponent: Id) -> Id:
    """A fixed exponent, or e^(exponent·log x). A backward pass takes 1 from it, by which 1/3 is rounded once more."""
    number = g.number(exponent)
    near = None if number is None else number.limit_denominator(SIMPLE)
    if number is not None and near and abs(near - number) <= TWICE_ROUNDED:
        number = near
    if number is not None:
        return power(g, x, number)
    grown = exp(g, mul(g, exponent, log(g, x)))
    return grown if g.positive[x] else _by_target(g, x, exponent, g.switch(x, grown, _of_zero(g, exponent), grown))


def _of_zero(g: Graph, exponent: Id) -> Id:
    """0 to a power."""
    return g.switch(exponent, g.endless, g.one, g.zero)


def _by_target(g: Graph, x: Id, exponent: Id, other: Id) -> Id:
    """A power by a number that hangs on the target alone: at the target that the loss is followed at it is a fixed one, which
    numbers below 0 may have; `other` at every other target."""
    read = g.reads[exponent]
    if len(read) != 1 or not read <= g.targets.keys():
        return other
    (target,) = read
    (fixed,) = rebuilt(g, (exponent,), g, {target: g.const(g.targets[target])})
    if g.number(fixed) is None:
        return other
    here = raised(g, x, fixed)
    return g.switch(g.sub(g.var(*target), g.const(g.targets[target])), other, here, other)


def leaky_relu(g: Graph, x: Id, slope: Id) -> Id:
    return g.switch(x, mul(g, slope, x), g.zero, x)


def elu(g: Graph, x: Id, alpha: Id, scale: Id, input_scale: Id) -> Id:
    bent = mul(g, alpha, g.sub(exp(g, mul(g, x, input_scale)), g.one))
    return mul(g, scale, g.switch(x, bent, bent, x))


def cosh(g: Graph, x: Id, other: int = 1) -> Id:
    """(e^x + e^(−x)) / 2, or with a minus between."""
    return g.linear([(HALF, exp(g, x)), (HALF * other, exp(g, g.neg(x)))])


def entr(g: Graph, x: Id) -> Id:
    return g.neg(xlogy(g, x, x))


def pi(g: Graph) -> Id:
    """4 atan 1."""
    return g.scale(4, g.make("atan", (g.one,)))


def asin(g: Graph, x: Id) -> Id:
    """atan(x / √(1 − x²))."""
    return g.make("atan", (mul(g, x, power(g, g.sub(g.one, square(g, x)), -HALF)),))


def atan2(g: Graph, y: Id, x: Id) -> Id:
    """The angle of (x, y); 0 at the origin."""
    slope, half = g.make("atan", (div(g, y, x),)), g.scale(HALF, pi(g))
    behind = g.switch(y, g.sub(slope, pi(g)), g.add(slope, pi(g)), g.add(slope, pi(g)))
    return g.switch(x, behind, g.switch(y, g.neg(half), g.zero, half), slope)


def asinh(g: Graph, x: Id) -> Id:
    """log(x + √(1 + x²))."""
    return log(g, g.add(x, power(g, g.linear([(Fraction(1), square(g, x))], 1), HALF)))


def acosh(g: Graph, x: Id) -> Id:
    return log(g, g.add(x, power(g, g.linear([(Fraction(1), square(g, x))], -1), HALF)))


def atanh(g: Graph, x: Id) -> Id:
    return g.scale(HALF, g.sub(log1p(g, x), log1p(g, g.neg(x))))


def hypot(g: Graph, left: Id, right: Id) -> Id:
    return power(g, g.add(square(g, left), square(g, right)), HALF)


def bent(g: Graph, b: Fraction, x: Id, sign: int = 1) -> Id:
    """₀F₁(; b; ±x²/4), of which Bessel functions and sin x / x are made (DLMF 10.39.9, 10.16.9)."""
    return g.make("hyp0f1", (g.scale(Fraction(sign, 4), square(g, x)),), (b,))


def i0(g: Graph, x: Id) -> Id:
    return bent(g, Fraction(1), x)


def i1(g: Graph, x: Id) -> Id:
    return mul(g, g.scale(HALF, x), bent(g, Fraction(2), x))


def faded(g: Graph, found: Id, x: Id) -> Id:
    """Times e^(−|x|)."""
    return mul(g, exp(g, g.neg(absolute(g, x))), found)


def sinc(g: Graph, x: Id) -> Id:
    """sin(πx) / (πx)."""
    return bent(g, Fraction(3, 2), mul(g, pi(g), x), -1)


def gammaincc(g: Graph, s: Id, x: Id) -> Id:
    """Γ(s, x) / Γ(s), in x; of s it is asked at single numbers only."""
    return g.make("gammaincc", (s, x))


def logaddexp2(g: Graph, left: Id, right: Id) -> Id:
    two = log(g, g.const(2))
    return div(g, logaddexp(g, mul(g, two, left), mul(g, two, right)), two)
