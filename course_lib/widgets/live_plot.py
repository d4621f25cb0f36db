"""A chart that is drawn again whenever a run has something new: after each epoch of a training.

The notebook shows one picture, in its place under the cell, and each new drawing takes the place of the last
one: nothing is cleared, so nothing flickers. What is left in the end is an ordinary output with the whole
run, in a notebook that was executed by a program as well.

>>> live = LivePlot(partial(learning_chart, epochs=6))                                  # doctest: +SKIP
>>> alone = distill(student, None, train, validation, config, on_epoch=live.run("alone"))
...                                                                                     # doctest: +SKIP
>>> taught = distill(student, teacher, train, validation, config, on_epoch=live.run("taught"))
...                                                                                     # doctest: +SKIP
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from IPython.display import DisplayHandle, display

from course_lib.errors import SettingError
from course_lib.widgets.chart import Chart

Record = TypeVar("Record")


class LivePlot(Generic[Record]):
    """Records of one or more runs, and their picture.

    Parameters
    ----------
    draw
        Makes the chart from name of the run → its records so far; a run that has not begun is left out. A
        drawing takes about a quarter of a second, so runs should report at most once a second.
    """

    def __init__(self, draw: Callable[[Mapping[str, Sequence[Record]]], Chart]) -> None:
        self._draw = draw
        self._handle: DisplayHandle | None = None
        self.records: dict[str, list[Record]] = {}
        """Name of a run → what it has reported."""

    def run(self, name: str) -> Callable[[Record], None]:
        """Return what a run is to call with each record, such as an epoch's.

        Raises
        ------
        SettingError
            If there is a run of this name already; its line would go back to its beginning.
        """
        if name in self.records:
            raise SettingError(
                f"The plot has a run called {name!r} already; give each run a name of its own, or make a new "
                "LivePlot."
            )
        self.records[name] = []

        def report(record: Record) -> None:
            self.records[name].append(record)
            self._show()

        return report

    def _show(self) -> None:
        chart = self._draw({name: records for name, records in self.records.items() if records})
        if self._handle is None:
            # Outside of a notebook there is no handle, and each drawing is told in words.
            self._handle = display(chart, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(chart)  # type: ignore[no-untyped-call]
