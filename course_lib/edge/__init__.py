"""Edge systems: which model a device should run, and what follows from its limits."""

from course_lib.edge.objective import Candidate, Choice, EdgeLimits, EdgeWeights, choose, edge_objective

__all__ = ["Candidate", "Choice", "EdgeLimits", "EdgeWeights", "choose", "edge_objective"]
