"""From tied labels to groups: classes that touch the same layers in the same way are channels of one group.

Worked example: records "a" out (1, 2), "b" in (1, 1, 2, 2) and no ties. Class of label 1: row 0 of "a",
columns 0 and 1 of "b"; class of label 2: row 1, columns 2 and 3. Both touch one row of "a" and two columns of
"b": they are the two channels of one group.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib.pruning.structure.group import Group, Slices
from course_lib.pruning.structure.labels import FIXED, varying_axes
from course_lib.pruning.structure.step import Ledger, Record

Indices = NDArray[np.int64]


class Classes:
    """The classes of a ledger's labels, and the groups they form.

    Attributes
    ----------
    of
        Label → class, (labels,).
    groups
        What can be removed: several channels, made by a layer and read by a layer.
    members
        Group name → the class of each of its channels.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.of = ledger.book.solve()
        self.records = list(ledger.records.values())
        self._made: dict[tuple[int, bytes], tuple[tuple[int, ...], ...]] = {}
        self.members: dict[str, Indices] = {}
        groups = {}
        for group, members in self._find_groups():
            groups[group.name] = group
            self.members[group.name] = members
        self.groups: tuple[Group, ...] = tuple(groups.values())

    def entries(self, record: Record) -> Indices:
        """Return the class of each row, column or entry; a parameter's entries along its axis of channels."""
        classes: Indices = self.of[record.labels.numpy()]
        axis = self.axis(record)
        return (
            classes
            if classes.ndim == 1
            else np.moveaxis(classes, axis, 0).reshape(classes.shape[axis], -1)[:, 0]
        )

    def axis(self, record: Record) -> int:
        """Return the axis of a parameter along which its classes change, by default the longest."""
        if record.labels.ndim < 2:
            return 0
        axes = varying_axes(torch.from_numpy(self.of[record.labels.numpy()]))
        return axes[0] if axes else int(np.argmax(record.labels.shape))

    def _find_groups(self) -> Iterator[tuple[Group, Indices]]:
        entries = [self.entries(record) for record in self.records]
        if not entries:
            return
        classes = np.concatenate(entries)
        records = np.repeat(np.arange(len(entries)), [len(each) for each in entries])
        indices = np.concatenate([np.arange(len(each)) for each in entries])
        movable = classes != self.of[FIXED]
        if not movable.any():
            return
        classes, records, indices = classes[movable], records[movable], indices[movable]
        order = np.lexsort((indices, records, classes))
        classes, records, indices = classes[order], records[order], indices[order]
        # a part is what one class has in one record
        starts = np.flatnonzero(np.diff(classes, prepend=-1) | np.diff(records, prepend=-1))
        counts = np.diff(starts, append=len(classes))
        first_part = np.flatnonzero(np.diff(classes[starts], prepend=-1))
        last_part = np.append(first_part[1:], len(starts))

        alike: dict[tuple[bytes, bytes], list[int]] = {}
        for first, last in zip(first_part.tolist(), last_part.tolist(), strict=True):
            signature = (records[starts[first:last]].tobytes(), counts[first:last].tobytes())
            alike.setdefault(signature, []).append(first)
        last_of = dict(zip(first_part.tolist(), last_part.tolist(), strict=True))
        for members in sorted(alike.values()):
            parts = range(members[0], last_of[members[0]])
            touched = [self.records[records[starts[part]]] for part in parts]
            if len(members) == 1 or not {"out", "in"} <= {record.role for record in touched}:
                continue
            firsts = np.asarray(members)
            slices = []
            for offset, record in enumerate(touched):
                positions = starts[firsts + offset][:, None] + np.arange(counts[members[0] + offset])
                slices.append(Slices(record.path, record.role, self._tuples(indices[positions])))
            yield Group(tuple(slices)), classes[starts[firsts]]

    def _tuples(self, rows: Indices) -> tuple[tuple[int, ...], ...]:
        """Return rows of numbers as tuples; equal ones are made once, for most layers of a size are alike."""
        key = (rows.shape[1], rows.tobytes())
        if key not in self._made:
            self._made[key] = tuple(zip(*rows.T.tolist(), strict=True))
        return self._made[key]
