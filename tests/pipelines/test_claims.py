import pytest

from course_lib.benchmarking import Interval
from course_lib.pipelines.claims import Claim, ClaimTable


@pytest.mark.parametrize(
    ("measured", "interval", "verdict"),
    [
        (3.0, None, "holds here"),
        (2.0, None, "holds here"),
        (1.9, None, "does not hold here"),
        (4.1, None, "does not hold here"),
        (3.0, (2.5, 3.5), "holds here"),
        (1.5, (1.2, 1.9), "does not hold here"),
        (5.0, (4.5, 5.5), "does not hold here"),
        (3.0, Interval(2.5, 3.5, 0.95), "holds here"),
        (2.1, (1.9, 2.3), "not settled: the interval holds the limit"),
        (1.9, (1.8, 2.1), "not settled: the interval holds the limit"),
    ],
)
def test_the_verdict_follows_from_the_numbers(
    measured: float, interval: Interval | tuple[float, float] | None, verdict: str
) -> None:
    assert Claim("2 to 4 times", measured, "times", 2.0, 4.0, interval).verdict == verdict


@pytest.mark.parametrize(
    ("ends", "text"),
    [({"low": 4}, "at least 4"), ({"high": 1}, "at most 1"), ({"low": 2, "high": 4}, "2 to 4")],
)
def test_the_claimed_range_in_words(ends: dict[str, float], text: str) -> None:
    assert Claim("size", 3.0, "times", **ends).range_text == text


def test_a_table_shows_claim_measurement_and_verdict() -> None:
    table = ClaimTable(
        (
            Claim("a file 4 times < before", 3.254, "times", low=4.0),
            Claim("under 1 point", 0.08, "points", high=1.0, interval=(-0.04, 0.2)),
        )
    )
    assert repr(table).splitlines()[2:] == [
        "| a file 4 times < before | 3.25 times                       | does not hold here |",
        "| under 1 point           | 0.0800 points (-0.0400 to 0.200) | holds here         |",
    ]
    assert "<td>a file 4 times &lt; before</td>" in table._repr_html_()
