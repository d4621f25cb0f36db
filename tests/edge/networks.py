"""Networks as records, made up for the tests of the selection."""

from hypothesis import strategies as st

from course_lib.edge import MeasuredNetwork


def network(name: str, accuracy: float = 0.9, **changed) -> MeasuredNetwork:
    """Return a network whose interval reaches 0.006 to both sides, unless told otherwise."""
    record = {
        "accuracy_low": max(0.0, accuracy - 0.006),
        "accuracy_high": min(1.0, accuracy + 0.006),
        "macs": 1_000_000,
        "params": 20_000,
        "size_bytes": 80_000,
        "p50_ms": 0.2,
        "peak_activation_bytes": 31_000,
    }
    return MeasuredNetwork(name=name, accuracy=accuracy, **{**record, **changed})


GOOD = network("good", 0.92, p50_ms=0.9, macs=9_000_000, size_bytes=300_000, peak_activation_bytes=150_000)
QUICK = network("quick", 0.916, p50_ms=0.3, macs=3_000_000, peak_activation_bytes=56_000)
SMALL = network("small", 0.89, p50_ms=0.1)
ALL = (GOOD, QUICK, SMALL)

amounts = st.integers(1, 1000)
many = st.lists(
    st.builds(
        network,
        st.uuids().map(str),
        st.floats(0.5, 1),
        p50_ms=st.floats(0.01, 10),
        macs=amounts,
        size_bytes=amounts,
        peak_activation_bytes=amounts,
        energy_mj=st.floats(0, 10),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each.name,
)
