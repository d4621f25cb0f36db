"""Guesses and answers of week 4."""

CELLS = {
    "predict-file": "guess_file.lock(guess_file.options[2])",
    "predict-tied": "guess_tied.lock(2)",
    "predict-macs": "guess_macs.lock(2)",
    "predict-widths": "guess_widths.lock(guess_widths.options[0])",
    "predict-ranking": 'guess_ranking.lock("L1 norm")',
    "predict-sparse": "guess_sparse.lock(guess_sparse.options[0])",
    "exercise-mask": (
        "def my_mask(weights, sparsity):\n"
        "    order = np.argsort(np.abs(weights), kind='stable')\n"
        "    mask = np.ones(len(weights), bool)\n"
        "    mask[order[: round(sparsity * len(weights))]] = False\n"
        "    return mask"
    ),
    "exercise-two-four": (
        "def my_two_four(weights):\n"
        "    blocks = np.abs(weights).reshape(-1, 4)\n"
        "    return (blocks >= np.sort(blocks)[:, 2:3]).ravel()"
    ),
    "exercise-tied": 'my_layers = {"a", "norm_a", "b", "norm_b", "c"}',
    "exercise-cubic": (
        "def my_sparsity(step, steps, target):\n    return target * (1 - (1 - step / steps) ** 3)"
    ),
    "exercise-rank": ("def my_rank(rows, columns):\n    return (rows * columns - 1) // (rows + columns)"),
}
