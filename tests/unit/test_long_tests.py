"""Attacks and faults in full run when they are asked for, and not otherwise."""

import pytest

pytest_plugins = ["pytester"]

SOME_TESTS = """
import pytest

@pytest.mark.parametrize("size", [1, pytest.param(9, marks=pytest.mark.attack)])
def test_size(size, figures):
    figures("size", size)

@pytest.mark.chaos
def test_fault():
    pass
"""


@pytest.mark.parametrize(
    ("expression", "passed", "figures"),
    [
        ("", 1, ["figure: size = 1"]),
        ("not native", 1, ["figure: size = 1"]),
        ("attack", 1, ["figure: size = 9"]),
        ("chaos", 1, []),
        ("attack or chaos", 2, ["figure: size = 9"]),
    ],
)
def test_long_tests_run_when_asked_for(
    pytester: pytest.Pytester, expression: str, passed: int, figures: list[str]
) -> None:
    pytester.makeini("[pytest]\nmarkers =\n    native\n    attack\n    chaos\n")
    pytester.makepyfile(SOME_TESTS)
    result = pytester.runpytest("-p", "tests.conftest", "-m", expression)
    result.assert_outcomes(passed=passed, deselected=3 - passed)
    assert [line for line in result.outlines if line.startswith("figure: ")] == figures
