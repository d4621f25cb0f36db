"""Guesses and answers of week 7."""

CELLS = {
    "predict-nodes": "guess_nodes.lock(30)",
    "predict-level": 'guess_level.lock("basic to extended")',
    "predict-outside": "guess_outside.lock(20)",
    "predict-held": "guess_held.lock(50)",
    "predict-threads": "guess_threads.lock(1.8)",
    "exercise-bias": (
        "def my_folded_bias(bias, gamma, beta, mean, variance, epsilon):\n"
        "    return (bias - mean) * gamma / np.sqrt(variance + epsilon) + beta"
    ),
    "exercise-foldable": 'my_foldable = {"a", "e"}',
    "exercise-peak": (
        "def my_peak(tensors):\n"
        "    steps = range(max(last for _, _, last in tensors) + 1)\n"
        "    return max(sum(size for size, start, end in tensors if start <= step <= end) for step in steps)"
    ),
    "exercise-place": (
        "def my_place(channel, row, column, height, width, block):\n"
        "    pixel = (channel // block * height + row) * width + column\n"
        "    return pixel * block + channel % block"
    ),
    "exercise-gain": (
        "def my_most_gain(kernels_us, between_us, threads):\n"
        "    return (kernels_us + between_us) / (kernels_us / threads + between_us)"
    ),
}
