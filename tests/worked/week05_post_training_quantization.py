"""Guesses and answers of week 5."""

CELLS = {
    "predict-granularity": "guess_granularity.lock(guess_granularity.options[0])",
    "predict-size": "guess_size.lock(4)",
    "predict-speed": "guess_speed.lock(4)",
    "predict-observers": "guess_observers.lock(guess_observers.options[1])",
    "predict-dynamic": "guess_dynamic.lock(guess_dynamic.options[2])",
    "exercise-zero": (
        "def my_zero_point(low, high, bits):\n"
        "    low, high = min(low, 0), max(high, 0)\n"
        "    return -round(low / ((high - low) / (2**bits - 1)))"
    ),
    "exercise-code": (
        "def my_code(x, scale, zero_point):\n    return min(max(round(x / scale) + zero_point, 0), 255)"
    ),
    "exercise-bits": "def my_bits(wanted_db):\n    return int(np.ceil((wanted_db - 1.765) / 6.02))",
    "exercise-stored": "bits_a_weight = 4 + 32 / 32",
    "exercise-pair": "pair_sum = min(255 * 127 + 255 * 127, 2**15 - 1)",
    "exercise-layer": "my_layer = min(quietest, key=quietest.get)",
}
