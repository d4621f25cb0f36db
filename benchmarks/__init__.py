"""One script for each performance claim; `python -m benchmarks` runs them all and records the results."""
