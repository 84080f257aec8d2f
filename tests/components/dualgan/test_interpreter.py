import pytest

from dualgan.interpreter import known_hole


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ((3, 11, 7), "Python 3.11.10 mends it"),
        ((3, 7, 16), "Python 3.11 mends it"),
        ((3, 11, 10), ""),
        ((3, 12, 6), ""),
        ((3, 13, 0), ""),
    ],
)
def test_a_python_with_a_known_hole_is_named(version: tuple[int, ...], named: str) -> None:
    assert named in known_hole(version)
    assert bool(named) == bool(known_hole(version))
