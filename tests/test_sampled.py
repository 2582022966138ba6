"""Of a battery that is sampled, make test has every value of every list of parameters, and the rest is under its mark."""

from collections.abc import Callable, Iterator
from itertools import product
from types import SimpleNamespace

import pytest
from conftest import diagonal, pytest_collection_modifyitems

ROWS, COLUMNS = "abcdef", "xy"


def battery(*lists: str, every: int = 2, first: int = 0) -> list[SimpleNamespace]:
    """The cases of a test with lists of parameters, that of the last decorator varying slowest, as pytest collects them."""

    def case(values: tuple[str, ...]) -> SimpleNamespace:
        marks = [SimpleNamespace(name="parametrize", args=(f"p{place}", one)) for place, one in enumerate(lists)]
        marks.append(SimpleNamespace(name="sampled", args=(every, first)))
        added: list[str] = []

        def named(name: str) -> Iterator[SimpleNamespace]:
            return (mark for mark in marks if mark.name == name)

        closest: Callable[[str], SimpleNamespace | None] = lambda name: next(named(name), None)  # noqa: E731
        return SimpleNamespace(
            nodeid=f"test_it.py::test_it[{'-'.join(values)}]", values=values, added=added, add_marker=added.append,
            iter_markers=named, get_closest_marker=closest,
        )  # fmt: skip

    return [case(values) for values in product(*lists)]


@pytest.mark.parametrize(
    ("lists", "every", "kept"), [((ROWS, COLUMNS), 2, 6), ((ROWS, "xyz"), 3, 6), ((ROWS,), 3, 2), ((ROWS,), 9, 1)]
)
def test_a_sample_of_a_grid_has_every_value(lists: tuple[str, ...], every: int, kept: int) -> None:
    cases = battery(*lists, every=every)
    pytest_collection_modifyitems(cases)  # type: ignore[arg-type]  # what of items is asked for
    sample = [case.values for case in cases if not case.added]
    assert len(sample) == kept
    assert all(case.added in ([], ["rest", "slow"]) for case in cases)
    if len(lists) == 2:
        assert [{values[place] for values in sample} for place in (0, 1)] == [set(one) for one in lists]


@pytest.mark.parametrize(("first", "kept"), [(0, "ad"), (1, "be"), (2, "cf")])
def test_a_sample_may_begin_with_another_case(first: int, kept: str) -> None:
    cases = battery(ROWS, every=3, first=first)
    pytest_collection_modifyitems(cases)  # type: ignore[arg-type]
    assert [case.values for case in cases if not case.added] == [(one,) for one in kept]


def test_a_case_that_is_named_alone_is_run() -> None:
    *_, last = battery(ROWS, COLUMNS)
    pytest_collection_modifyitems([last])  # type: ignore[list-item]
    assert last.added == []


def test_what_is_marked_as_of_the_rest_is_slow_too() -> None:
    case, *_ = battery(ROWS)
    case.get_closest_marker = lambda name: SimpleNamespace(name=name) if name == "rest" else None
    pytest_collection_modifyitems([case])  # type: ignore[list-item]
    assert case.added == ["slow"]


def test_diagonals_are_those_of_the_grid() -> None:
    cases = battery(ROWS, COLUMNS)
    found = [diagonal(case, number) for number, case in enumerate(cases)]  # type: ignore[arg-type]
    assert found == [ROWS.index(row) + COLUMNS.index(column) for row, column in (case.values for case in cases)]
