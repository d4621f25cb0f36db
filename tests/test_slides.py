"""The decks: notes on every slide, no number typed in, and figures from recorded runs of a known machine."""

import json
import re
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from course_lib.benchmarking import LatencyResult, record_machine
from course_lib.errors import DataError, UnknownNameError
from slides import figures, record, recording
from slides.recording import Recording, load_recording, new_recording

ROOT = Path(__file__).resolve().parent.parent
DECKS = sorted((ROOT / "slides").glob("week*.md"))
MEASURED = re.compile(r"\d\s*(ms|µs|kB|MB|mJ|W)\b")
LEAST_NOTE_WORDS = 20

each_deck = pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)


def slides_of(path: Path) -> list[str]:
    """Return the source of each slide; the settings at the top of the deck are left out."""
    _, _, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return body.split("\n---\n")


def notes_of(slide: str) -> str:
    """Return the speaker notes: comments that are not Marp directives."""
    comments = re.findall(r"<!--(.*?)-->", slide, flags=re.DOTALL)
    return " ".join(comment for comment in comments if not re.match(r"\s*_?[a-zA-Z]+:", comment))


def shown_of(slide: str) -> str:
    """Return what the audience sees."""
    return re.sub(r"<!--.*?-->", "", slide, flags=re.DOTALL)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    for path in DECKS:
        figures.draw(path.stem, folder)
    return folder


@each_deck
def test_every_slide_has_notes_for_the_speaker(path: Path) -> None:
    short = [shown_of(s).strip() for s in slides_of(path) if len(notes_of(s).split()) < LEAST_NOTE_WORDS]
    assert short == []


@each_deck
def test_every_slide_has_one_title(path: Path) -> None:
    assert [len(re.findall("^# ", shown_of(slide), flags=re.MULTILINE)) for slide in slides_of(path)] == [
        1 for _ in slides_of(path)
    ]


@each_deck
def test_no_measured_number_is_typed_in(path: Path) -> None:
    assert [MEASURED.findall(shown_of(slide)) for slide in slides_of(path)] == [[] for _ in slides_of(path)]


@each_deck
def test_every_figure_says_what_it_shows(path: Path) -> None:
    for settings, target in re.findall(r"!\[(.*?)\]\((.*?)\)", path.read_text(encoding="utf-8")):
        assert target.startswith("figures/")
        assert len(re.sub(r"\bbg\b|\bright:\S+|\bcontain\b", "", settings).split()) >= 3


@pytest.mark.parametrize("path", [*DECKS, ROOT / "slides" / "theme.css"], ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "http" not in source
    assert "@import" not in source
    assert (
        path.suffix == ".css" or "math: mathjax" in source
    )  # the other choice loads its fonts from a server


@pytest.mark.slow
@each_deck
def test_figures_are_exactly_those_drawn(path: Path, drawn: Path) -> None:
    named = re.findall(r"\]\(figures/(.*?)\)", path.read_text(encoding="utf-8"))
    week = path.stem.split("_")[0]
    assert sorted(named) == sorted(file.name for file in drawn.glob(f"{week}_*.svg"))


@pytest.mark.slow
@each_deck
def test_every_figure_carries_machine_and_date(path: Path, drawn: Path) -> None:
    footnote = load_recording(path.stem).footnote
    for file in drawn.glob(f"{path.stem.split('_')[0]}_*.svg"):
        assert footnote in "".join(ElementTree.parse(file).getroot().itertext())


@each_deck
def test_the_recording_knows_where_and_when(path: Path) -> None:
    run = load_recording(path.stem)
    assert run.deck == path.stem
    assert date.fromisoformat(run.date)
    assert run.machine.cpu
    assert {"torch", "onnxruntime"} <= set(run.machine.versions)
    assert run.machine.cpu in run.footnote
    assert run.date in run.footnote


@each_deck
def test_the_recording_keeps_the_samples(path: Path) -> None:
    text = json.dumps(json.loads((recording.FOLDER / f"{path.stem}.json").read_text()))
    assert len(re.findall(r'"samples_ms": \[', text)) > 10


def small_recording() -> Recording:
    result = LatencyResult(machine=record_machine(), samples_ms=(1.0, 2.5), name="é")
    return new_recording("week99_test", record_machine(), {"latency": [result], "odd": {"x": float("inf")}})


def test_a_recording_comes_back_as_it_was(tmp_path: Path) -> None:
    written = small_recording()
    path = written.save(tmp_path)
    read = load_recording("week99_test", tmp_path)
    assert read.machine == written.machine
    assert read.date == date.today().isoformat()
    assert read.results == {"latency": tuple(written.results["latency"]), "odd": {"x": float("inf")}}
    assert "Infinity" not in path.read_text()


@pytest.mark.parametrize("damage", ["{", "{}", '{"results": {"a": {"type": "NoSuchClass"}}}'])
def test_a_missing_or_damaged_recording_names_the_remedy(tmp_path: Path, damage: str) -> None:
    remedy = r"measure again with: python -m slides\.record week99_test"
    with pytest.raises(DataError, match=f"no recorded run of week99_test; {remedy}"):
        load_recording("week99_test", tmp_path)
    (tmp_path / "week99_test.json").write_text(damage)
    with pytest.raises(DataError, match=rf"week99_test\.json cannot be read .*{remedy}"):
        load_recording("week99_test", tmp_path)


def test_unknown_decks_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="no deck called 'week77'"):
        figures.draw("week77")
    with pytest.raises(UnknownNameError, match="no deck called 'week77'"):
        record.main(["week77"])


def test_recording_a_deck_saves_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "DECKS", {"week99_test": lambda: {"sum": 3}})
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    record.main([])
    assert load_recording("week99_test", tmp_path).results == {"sum": 3}
    assert "week99_test: recorded in week99_test.json" in capsys.readouterr().out


def test_a_quick_trial_goes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "QUICK", {"week99_test": lambda: {"sum": 4}})
    monkeypatch.setattr(record, "TRIALS", tmp_path / "trials")
    record.main(["--quick"])
    assert load_recording("week99_test", tmp_path / "trials").results == {"sum": 4}
    with pytest.raises(UnknownNameError, match="no deck called 'week01_measure_first'"):
        record.main(["--quick", "week01_measure_first"])


def test_every_deck_can_be_measured_and_drawn() -> None:
    names = {path.stem for path in DECKS}
    assert names == set(record.DECKS) == set(figures.DECKS)
    assert set(record.QUICK) <= names
