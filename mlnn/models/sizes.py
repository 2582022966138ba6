"""Which sizes and input shapes a model accepts; everything else is a ConfigError that names the config key."""

import math

from mlnn.errors import ConfigError


def whole(key: str, value: int, minimum: int) -> int:
    """`value` if it is a whole number ≥ `minimum` (True and 2.0 are not whole numbers)."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(f"model.{key}: must be a whole number ≥ {minimum}, found {value!r}")
    return value


def flag(key: str, value: bool) -> bool:
    """`value` if it is true or false (the word "false" would count as true)."""
    if not isinstance(value, bool):
        raise ConfigError(f"model.{key}: must be true or false, found {value!r}")
    return value


def flat_size(input_shape: tuple[int, ...]) -> int:
    """Features per row once the row is flattened; any shape with at least one value fits."""
    if len(input_shape) == 0 or math.prod(input_shape) < 1:
        raise ConfigError(f"model: rows of shape {tuple(input_shape)} hold no features; give x as (rows, features …)")
    return math.prod(input_shape)


def image_size(name: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, height, width) of rows that are images; flat rows do not fit."""
    flat_size(input_shape)
    if len(input_shape) != 3:
        raise ConfigError(
            f"model: {name} needs images, rows of shape (channels, height, width), found {tuple(input_shape)};"
            " choose image data such as data=digits_parity, or model=mlp, which takes any shape"
        )
    channels, height, width = input_shape
    return channels, height, width


def sequence_size(name: str, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """(steps, features per step) of the sequence that `layers.as_sequence` makes of a row."""
    size = flat_size(input_shape)
    if len(input_shape) > 3:
        raise ConfigError(
            f"model: {name} reads features (d,), sequences (steps, features) or images (channels, height, width),"
            f" found rows of shape {tuple(input_shape)}; reshape x, or choose model=mlp, which takes any shape"
        )
    steps = input_shape[-2] if len(input_shape) == 3 else input_shape[0]
    return steps, size // steps
