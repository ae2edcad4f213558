"""The check of options finds one that does nothing, and one that nobody thought of."""

import itertools
from typing import Any

import pytest
from alternatives import Only, check_every_option, digest, options_of, to

from sr_experiments.errors import UserError

OPTIONS = {"width": 2, "kind": "a", "inner": {"share": 0.5}, "threads": 4}
TABLE = {"kind": to("a", "b"), "threads": Only("speed")}


def test_options_that_all_do_something_pass() -> None:
    check_every_option("group/file", OPTIONS, TABLE, lambda made: digest({**made, "threads": 0}))


@pytest.mark.parametrize("path", ["width", "kind", "inner.share"])
def test_an_option_that_does_nothing_is_named(path: str) -> None:
    def blind(made: dict[str, object]) -> str:
        inner = made["inner"]
        assert isinstance(inner, dict)
        values = {"width": made["width"], "kind": made["kind"], "inner.share": inner["share"]}
        return digest({key: value for key, value in values.items() if key != path})

    with pytest.raises(AssertionError, match=rf"group/file: {path}=.* does what"):
        check_every_option("group/file", OPTIONS, TABLE, blind)


def test_an_option_without_another_value_is_asked_for() -> None:
    with pytest.raises(AssertionError, match="group/file: add 'colour' to the table"):
        check_every_option("group/file", {"colour": "red"}, TABLE, lambda made: digest(made))


def test_what_differs_by_itself_is_found() -> None:
    calls = itertools.count()
    with pytest.raises(AssertionError, match="not the same twice"):
        check_every_option("g/f", OPTIONS, TABLE, lambda made: str(next(calls)))


def test_a_value_that_is_refused_is_passed_over_but_not_the_last_one() -> None:
    def odd(made: dict[str, int]) -> str:
        if made["width"] < 0 or made["width"] % 2:
            raise UserError("odd")
        return str(made)

    check_every_option("group/file", {"width": 2}, {}, odd)
    with pytest.raises(UserError, match="odd"):
        check_every_option("group/file", {"width": 2}, {"width": to(3)}, odd)


def test_what_a_companion_needs_is_set_on_both_sides() -> None:
    def product(made: dict[str, float]) -> str:
        return str(made["a"] * made["b"])

    options = {"a": 0.0, "b": 2.0}
    table = {"a": to(1.0), "b": to(3.0, given={"a": 1.0})}
    check_every_option("group/file", options, table, product)
    with pytest.raises(AssertionError, match=r"b=3\.0 does what"):
        check_every_option("group/file", options, {**table, "b": to(3.0)}, product)


def test_companions_are_beside_it_or_at_the_top() -> None:
    def product(made: dict[str, Any]) -> str:
        return str(made["a"] * made["inner"]["b"] * made["inner"]["c"])

    options = {"a": 0.0, "inner": {"b": 2.0, "c": 0.0, "d": {"_target_": "Class"}}}
    needed = {"/a": 1.0, "c": 1.0}
    table = {
        "a": to(1.0, given={"inner.c": 1.0}), "c": to(1.0, given={"/a": 1.0}),
        "b": to(3.0, given=needed), "inner.d": Only("not looked at"),
    }  # fmt: skip
    check_every_option("group/file", options, table, product)


def test_a_file_is_read_with_what_it_takes_over() -> None:
    assert options_of("scheduler", "plateau_falling")["factor"] == 0.5
    assert options_of("scheduler", "plateau_falling", factor=0.1, nothing=1)["factor"] == 0.1
    assert "nothing" not in options_of("scheduler", "plateau_falling", nothing=1)
