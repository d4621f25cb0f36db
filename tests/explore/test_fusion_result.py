from course_lib.explore.fusion_result import FusionResult, FusionSetting
from tests.explore.fusion_net import known_diff, latency


def known(timed: bool = False, **fields: object) -> FusionResult:
    values = {
        **{"model": "net", "setting": FusionSetting("extended", timed), "diff": known_diff()},
        **{"node_counts": {"off": 4, "basic": 3, "extended": 2, "all": 2}, "latencies": {}},
        **fields,
    }
    return FusionResult(**values)  # type: ignore[arg-type]


def test_the_ratio_is_this_level_by_level_off() -> None:
    measured = latency(1.0, 4.0)
    assert measured.ratio.value == 0.25
    assert tuple(measured.ratio.interval) == (0.25, 0.25)
    assert measured.ratio.verdict == "faster"


def test_a_result_is_exact_once_all_that_was_asked_for_is_measured() -> None:
    part, whole = latency(1, 2, runs=10), latency(1, 2)
    times = {"fused": 3.0, "flat": 1.0}
    assert not known().exact
    assert not known(latencies={"extended": part}).exact
    assert not known(latencies={"all": whole}).exact
    assert known(latencies={"extended": whole}).exact
    assert not known(True, latencies={"extended": whole}).exact
    assert not known(True, times_us=times).exact
    assert known(True, latencies={"extended": whole}, times_us=times).exact
    assert known(untimed="It has two inputs.").exact


def test_operators_are_counted_before_and_after_and_timed() -> None:
    rows = known(times_us={"fused": 3.0, "flat": 4.0}).operators
    assert [(row.kind, row.before, row.after, row.p50_us) for row in rows] == [
        ("Flatten", 1, 1, 4.0),
        ("FusedConv (microsoft)", 0, 1, 3.0),
        ("BatchNormalization", 1, 0, None),
        ("Conv", 1, 0, None),
        ("Relu", 1, 0, None),
    ]
    assert {row.p50_us for row in known().operators} == {None}
    assert known().operators[-1].kind == "Flatten"  # nothing changed there
