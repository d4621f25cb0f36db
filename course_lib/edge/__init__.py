"""Edge systems: which model a device should run, and what follows from its limits.

Importing this package is light; the activation memory of a network needs torch and is imported by its own
name: ``from course_lib.edge.memory_plan import plan_memory``.
"""

from course_lib.edge.devices import DEVICE_CLASSES, MICROCONTROLLERS, DeviceClass, Microcontroller
from course_lib.edge.limits import DeviceLimits
from course_lib.edge.measured import MeasuredNetwork
from course_lib.edge.objective import Candidate, Choice, EdgeLimits, EdgeWeights, choose, edge_objective
from course_lib.edge.selection import Shortlist, Task, shortlist

__all__ = [
    "DEVICE_CLASSES",
    "MICROCONTROLLERS",
    "Candidate",
    "Choice",
    "DeviceClass",
    "DeviceLimits",
    "EdgeLimits",
    "EdgeWeights",
    "MeasuredNetwork",
    "Microcontroller",
    "Shortlist",
    "Task",
    "choose",
    "edge_objective",
    "shortlist",
]
