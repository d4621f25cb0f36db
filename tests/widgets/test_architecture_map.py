import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import course_lib.widgets
from course_lib.architectures import list_zoo, load_card
from course_lib.edge import DeviceLimits, shortlist
from course_lib.edge.architecture_map import AXES, DEVICES, MapSetting, weigh
from course_lib.edge.memory_plan import plan_memory
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.explore.architecture_map import MapEngine, MapState
from course_lib.explore.network_survey import card_figures
from course_lib.widgets import ArchitectureMap, architecture_map
from course_lib.widgets.architecture_view import result_view
from course_lib.widgets.page_source import script, style

FOLDER = Path(course_lib.widgets.__file__).parent


@pytest.fixture(scope="module")
def shared_map() -> Iterator[ArchitectureMap]:
    with pytest.MonkeyPatch.context() as patch:
        engine = MapEngine({name: name for name in list_zoo()}, plan_memory, laps=(3, 12))
        patch.setattr(architecture_map, "_shared_engine", lambda: engine)
        widget = ArchitectureMap()
        assert widget.wait(300), widget.error
        yield widget
        widget.close()
        engine.close()


@pytest.fixture
def explorer(shared_map: ArchitectureMap) -> ArchitectureMap:
    start = {key: value for key, value in shared_map.start.items() if key not in ("generation", "again")}
    move(shared_map, **start)
    return shared_map


def send(explorer: ArchitectureMap, **change: Any) -> bool:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    return explorer.wait(120)


def move(explorer: ArchitectureMap, **change: Any) -> dict[str, Any]:
    assert send(explorer, **change), explorer.error
    return explorer.result


def limit(explorer: ArchitectureMap, **limits: float) -> dict[str, Any]:
    return move(explorer, limits={**explorer.request["limits"], **limits})


def test_it_opens_with_all_networks_and_no_budget(explorer: ArchitectureMap) -> None:
    shown = explorer.result
    assert {point["name"] for point in shown["points"]} == set(list_zoo())
    assert {point["state"] for point in shown["points"]} == {"fits"}
    assert (shown["exact"], shown["progress"], shown["chart"]["name"]) == (True, "", "latency")
    assert shown["budget"]["cost"]["words"] == "no limit"
    assert shown["budget"]["accuracy"]["words"] == "no floor"
    assert shown["selected"] == shown["chosen"][0]["name"]
    for point in shown["points"]:
        card = load_card(point["name"])
        assert point["accuracy_interval"] == [card.accuracy_low, card.accuracy_high]
        low, high = point["cost_interval"]
        assert low <= point["cost"] <= high


def test_points_shortlist_and_csv_say_the_same(explorer: ArchitectureMap) -> None:
    costs = sorted(network.p50_ms for network in explorer.networks)
    shown = limit(explorer, latency=costs[2])
    assert sum(point["state"] == "fits" for point in shown["points"]) == 3
    ranks = {row["name"]: row["rank"] for row in shown["chosen"]}
    assert ranks == {point["name"]: point["rank"] for point in shown["points"]}
    for point in shown["points"]:
        assert (point["state"] == "fits") == (point["cost"] <= costs[2])
        reason = next(row["reason"] for row in shown["chosen"] if row["name"] == point["name"])
        assert point["words"].endswith(reason)
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert [row["network"] for row in rows] == [row["name"] for row in shown["chosen"]]
    assert [row["reason"] for row in rows] == [row["reason"] for row in shown["chosen"]]
    assert shown["summary"].startswith(f"3 of {len(rows)} networks keep the budget (latency at most ")


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_has_its_points_front_and_line(explorer: ArchitectureMap, axis: str) -> None:
    shown = move(explorer, axis=axis)
    costs = {network.name: AXES[axis].of(network) for network in explorer.networks}
    assert {point["name"]: point["cost"] for point in shown["points"]} == costs
    for point in shown["points"]:
        better = [
            other
            for other in shown["points"]
            if other["cost"] <= point["cost"] and other["accuracy"] > point["accuracy"]
        ]
        assert not (point["front"] and better)
        assert shown["chart"]["low"] < point["cost"] < shown["chart"]["high"]
    assert sum(point["front"] for point in shown["points"]) >= 1
    assert len(shown["chart"]["ticks"]) >= 2
    stops = [stop for stop, _ in shown["budget"]["cost"]["stops"]]
    tightest = limit(explorer, **{axis: stops[0]})
    assert tightest["impossible"]
    assert tightest["summary"].startswith(f"No network fits: not one keeps the limit on {AXES[axis].noun}")
    assert {point["state"] for point in tightest["points"]} == {"refused"}
    loosest = limit(explorer, **{axis: stops[-2]})
    assert {point["state"] for point in loosest["points"]} == {"fits"}


def test_the_floor_refuses_what_is_below_it(explorer: ArchitectureMap) -> None:
    stops = [stop for stop, _ in explorer.result["budget"]["accuracy"]["stops"]]
    assert stops[0] is None
    middle = stops[len(stops) // 2]
    shown = move(explorer, accuracy=middle)
    for point in shown["points"]:
        assert (point["state"] == "fits") == (point["accuracy"] >= middle)
    assert move(explorer, accuracy=stops[-1])["impossible"]


def test_limits_of_all_axes_hold_at_once_and_are_listed(explorer: ArchitectureMap) -> None:
    costs = sorted(network.macs for network in explorer.networks)
    limit(explorer, macs=costs[1])
    shown = move(explorer, axis="storage", accuracy=0.5)
    assert sum(point["state"] == "fits" for point in shown["points"]) == 2
    assert [name for name, _ in shown["budget"]["all"]] == ["macs", "accuracy"]
    assert shown["budget"]["cost"]["value"] is None


def test_a_microcontroller_sets_memory_limits(explorer: ArchitectureMap) -> None:
    shown = move(explorer, device="cortex_m3_20k", axis="memory")
    assert shown["impossible"]
    assert "activation memory" in shown["summary"]
    assert shown["budget"]["device"] == {"value": 20_480, "words": "the device has 20.5 kB"}
    assert any("STMicroelectronics" in note for note in shown["notes"])
    costs = sorted(network.p50_ms for network in explorer.networks)
    move(explorer, device="cortex_m7_512k", axis="latency")
    shown = limit(explorer, latency=costs[0])
    assert {point["state"] for point in shown["points"]} == {"fits"}
    assert "not checked" in shown["budget"]["cost"]["words"]
    assert any("was not checked" in note for note in shown["notes"])
    assert len(explorer.devices) == len(DEVICES)


def test_details_are_those_of_the_chosen_network(explorer: ArchitectureMap) -> None:
    shown = move(explorer, selected="vision_transformer")["details"]
    card = load_card("vision_transformer")
    assert shown["title"] == "Vision transformer"
    assert shown["tiles"]["accuracy"]["value"] == f"{card.accuracy:.2%}"
    assert shown["tiles"]["macs"]["value"] == f"{card.macs:,}"
    assert "× depthwise (" in shown["tiles"]["latency"]["detail"]
    shares = [layer["share"] for layer in shown["layers"]]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shown["memory"]["shares"][shown["memory"]["peak"]] == 1 == max(shown["memory"]["shares"])
    baseline = move(explorer, selected="depthwise")["details"]["tiles"]["latency"]
    assert baseline["detail"].startswith("median of 12 rounds")


def test_before_anything_is_timed_the_map_shows_macs_and_says_so() -> None:
    names = ("depthwise", "tiny")
    state = MapState(names, {name: card_figures(name) for name in names})
    shown = result_view(state, weigh([], MapSetting()), "")
    assert shown["chart"]["name"] == "macs"
    assert {point["name"]: point["cost"] for point in shown["points"]} == {
        name: load_card(name).macs for name in names
    }
    assert {point["state"] for point in shown["points"]} == {"pending"}
    assert (shown["chosen"], shown["exact"]) == ([], False)
    assert shown["progress"] == "Starting … Until the first networks are timed, the map shows MACs."
    assert shown["summary"] == "2 networks; none is timed yet."
    assert shown["details"]["tiles"]["latency"]["value"] == "…"
    json.dumps(shown)


def test_measuring_again_follows_a_request(explorer: ArchitectureMap) -> None:
    before = explorer.result["points"]
    shown = move(explorer, again=explorer.request["again"] + 1)
    assert shown["exact"]
    assert [point["cost"] for point in shown["points"]] != [point["cost"] for point in before]


def test_after_many_moves_the_last_one_is_shown(explorer: ArchitectureMap) -> None:
    for stop, _ in explorer.result["budget"]["cost"]["stops"]:
        request = explorer.request
        limits = {**request["limits"], "latency": stop}
        explorer.request = {**request, "limits": limits, "generation": request["generation"] + 1}
    assert explorer.wait(120)
    assert explorer.result["generation"] == explorer.request["generation"]
    assert explorer.result["budget"]["cost"]["value"] is None


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"axis": "speed"}, "no axis called 'speed'"),
        ({"device": "phone"}, "no device called 'phone'"),
        ({"accuracy": 90}, "accuracy=90.0 is not a limit: pass a fraction from 0 to 1."),
        ({"prefer": "size"}, "prefer is 'size'; expected 'accuracy' or 'cost'."),
        ({"selected": "resnet"}, "no network called 'resnet'"),
        ({"limits": {}}, "cannot be read"),
        ({"generation": None}, "cannot be read"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    explorer: ArchitectureMap, broken: dict[str, Any], sentence: str
) -> None:
    sound = explorer.request
    explorer.request = {**sound, "generation": sound["generation"] + 1, **broken}
    assert not explorer.wait(120)
    assert sentence in explorer.error
    explorer.request = {**sound, "generation": sound["generation"] + 2}
    assert explorer.wait(120)
    assert explorer.error == ""


def test_everything_that_is_sent_is_json(explorer: ArchitectureMap) -> None:
    shown = limit(explorer, latency=0.001)
    words = json.dumps([shown, explorer.axes, explorer.devices, explorer.start])
    assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have


def test_the_code_computes_what_is_shown(explorer: ArchitectureMap) -> None:
    shown = move(explorer, accuracy=0.9, device="cortex_m4_256k", prefer="cost")
    names: dict[str, Any] = {}
    exec(shown["code"], names)
    # Other latencies, but on another device they do not decide.
    chosen = [verdict.network.name for verdict in names["chosen"].verdicts]
    assert chosen == [row["name"] for row in shown["chosen"]]
    names["explorer"].close()


def test_a_page_without_widgets_shows_the_shortlist(explorer: ArchitectureMap) -> None:
    shown = limit(explorer, latency=0.0001)
    bundle = explorer._repr_mimebundle_()
    assert bundle is not None
    text = bundle[0]["text/plain"]
    assert shown["summary"] in text
    assert str(shortlist(explorer.networks, DeviceLimits(latency_ms=0.0001))) in text


@pytest.mark.slow
def test_a_network_of_ones_own_is_judged_and_timed_beside_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(architecture_map, "list_zoo", lambda: ["tiny"])
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    widget = ArchitectureMap({"mine": model}, axis="params", limits=DeviceLimits(params=9_000))
    assert widget.wait(120), widget.error
    assert {point["name"] for point in widget.result["points"]} == {"mine", "tiny"}
    states = {point["name"]: point["state"] for point in widget.result["points"]}
    assert states["mine"] == "fits"
    assert widget.result["budget"]["cost"]["value"] == 9_000
    widget.close()


def test_bad_arguments_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="no axis called 'speed'"):
        ArchitectureMap(axis="speed")
    with pytest.raises(SettingError, match=r"^The map does not measure energy_mj; leave it out"):
        ArchitectureMap(limits=DeviceLimits(energy_mj=1))
    with pytest.raises(ModelError, match=r"^The zoo has a network called tiny already; give yours another"):
        ArchitectureMap({"tiny": nn.Linear(1, 1)})
    with pytest.raises(ModelError, match=r"^mine is of type str; pass a PyTorch module"):
        ArchitectureMap({"mine": "mine.onnx"})  # type: ignore[dict-item]


def test_two_maps_know_the_same_measurements(explorer: ArchitectureMap) -> None:
    other = ArchitectureMap()
    assert other.wait(120), other.error
    assert other.result["points"] == explorer.result["points"]
    other.close()
    assert move(explorer, axis="macs")["exact"]


def test_a_limit_that_is_not_set_is_none_on_the_page(explorer: ArchitectureMap) -> None:
    assert set(explorer.start["limits"].values()) == {None}
    assert math.inf not in explorer.start["limits"].values()


def test_the_page_gets_the_shared_part_first() -> None:
    for joined, kind in ((script("architecture_map"), "js"), (style("architecture_map"), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"architecture_map.{kind}").read_text(encoding="utf-8"))
    assert ArchitectureMap._esm == script("architecture_map")
    lines = script("architecture_map").splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))
