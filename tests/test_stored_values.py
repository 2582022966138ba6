"""Values of a stored JSON object: what belongs there, nothing said, and what is of another type, each asked for by name."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from mlnn.comparing import stored

Ask = Callable[[stored.Stored, str], Any]


@pytest.mark.parametrize(("ask", "nothing"), [
    (stored.word, None), (stored.yes, False), (stored.whole, None), (stored.table, None), (stored.tables, []), (stored.plain, None),
    (stored.number, None), (stored.interval, None), (stored.intervals, ()), (stored.sizes, {}), (stored.words, {}),
    (stored.shift, 0.0), (lambda told, key: stored.word_or(told, key, "other"), "other"),
    (lambda told, key: stored.number_or(told, key, 2.5), 2.5),
])  # fmt: skip
def test_where_nothing_is_said_that_is_what_is_read(ask: Ask, nothing: Any) -> None:
    assert ask({}, "key") == nothing
    assert type(ask({"other": 3}, "key")) is type(nothing)


@pytest.mark.parametrize(("ask", "value", "read"), [
    (stored.word, "a", "a"), (stored.word, "", ""), (stored.yes, True, True), (stored.yes, False, False), (stored.whole, 3, 3),
    (stored.whole, 0, 0), (stored.table, {"a": 1}, {"a": 1}), (stored.tables, [{"a": 1}, {}], [{"a": 1}, {}]),
    (stored.tables, [], []),
    (stored.plain, "a", "a"), (stored.plain, 3, 3), (stored.plain, 0.5, 0.5), (stored.number, 3, 3.0), (stored.number, 0.5, 0.5),
    (stored.number, "inf", math.inf), (stored.number, "-inf", -math.inf), (stored.relation, "equal", "equal"),
    (stored.domain, "all", "all"), (stored.domain, "none", "none"), (stored.domain, [-1, 2.5], (-1.0, 2.5)),
    (stored.domain, (-1.0, "inf"), (-1.0, math.inf)), (stored.interval, [-1, 1], (-1.0, 1.0)), (stored.interval, None, None),
    (stored.intervals, [[0, 1], (2, 3)], ((0.0, 1.0), (2.0, 3.0))), (stored.sizes, {"a": 1, "b": None}, {"a": 1.0, "b": None}),
    (stored.words, {"a": "b", "c": None}, {"a": "b", "c": ""}), (stored.shift, 0.5, 0.5), (stored.shift, {"1": 2}, {1.0: 2.0}),
    (lambda told, key: stored.word_or(told, key, "other"), "", ""), (lambda told, key: stored.number_or(told, key, 2.5), 0, 0.0),
])  # fmt: skip
def test_what_belongs_there_is_read(ask: Ask, value: Any, read: Any) -> None:
    assert ask({"key": value}, "key") == read
    assert type(ask({"key": value}, "key")) is type(read)


def test_no_number_is_read_as_such() -> None:
    assert math.isnan(stored.number({"key": "nan"}, "key") or 0.0)


@pytest.mark.parametrize(("ask", "value"), [
    (stored.word, 3), (stored.word, ["a"]), (stored.yes, 1), (stored.yes, "yes"), (stored.yes, None), (stored.whole, True),
    (stored.whole, 3.0), (stored.whole, "3"), (stored.table, []), (stored.table, "a"), (stored.tables, {"a": 1}),
    (stored.tables, [{"a": 1}, 2]), (stored.tables, "ab"), (stored.plain, [1]), (stored.plain, {}), (stored.number, True),
    (stored.number, "1.5"), (stored.number, "infinity"), (stored.number, [1]), (stored.relation, "alike"), (stored.relation, None),
    (stored.relation, 3), (stored.domain, "some"), (stored.domain, [1]), (stored.domain, [1, 2, 3]), (stored.domain, None),
    (stored.domain, [1, True]), (stored.domain, ["1", 2]), (stored.domain, "ab"), (stored.interval, "all"), (stored.interval, {}),
    (stored.intervals, {"a": [0, 1]}), (stored.intervals, [1, 2]), (stored.intervals, "ab"), (stored.sizes, {"a": "b"}),
    (stored.sizes, [1]), (stored.words, {"a": 1}), (stored.shift, {"a": 1}), (stored.shift, {"1": None}), (stored.shift, [1]),
    (stored.shift, True),
])  # fmt: skip
def test_what_is_of_another_type_is_named(ask: Ask, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^no (key|a) is "):
        ask({"key": value}, "key")
