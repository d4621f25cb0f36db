"""Guesses and answers of week 1."""

CELLS = {
    "predict-mean": "guess_mean.lock(guess_mean.options[2])",
    "predict-repeat": "guess_repeat.lock(guess_repeat.options[0])",
    "predict-speedup": "guess_speedup.lock(2.5)",
    "predict-zeros": "guess_zeros.lock(guess_zeros.options[2])",
    "exercise-p95": (
        "def my_p95(samples_ms):\n"
        "    ordered = sorted(samples_ms)\n"
        "    return ordered[round(0.95 * (len(ordered) - 1))]"
    ),
    "exercise-macs": "depthwise_macs = 7 * 7 * 32 * 3 * 3\npointwise_macs = 7 * 7 * 64 * 32",
    "exercise-speedup": "def my_speedup(share, factor):\n    return 1 / (1 - share + share / factor)",
    "exercise-choice": (
        "allowed = [c for c in candidates if c.macs <= 2e6 and c.accuracy >= 0.915]\n"
        "my_network = min(allowed, key=lambda c: c.bandwidth_bytes).name"
    ),
}
