"""Guesses and answers of week 8."""

CELLS = {
    "predict-half": "guess_half.lock(2)",
    "predict-speed": "guess_speed.lock(guess_speed.options[1])",
    "predict-cache": "guess_cache.lock(10)",
    "predict-damage": "guess_damage.lock(guess_damage.options[0])",
    "predict-rules": "guess_rules.lock(guess_rules.options[2])",
    "exercise-key": 'my_key = {"model", "compiler version", "options", "precision", "device"}',
    "exercise-half": "def my_half_step(x):\n    return 2.0 ** (np.floor(np.log2(x)) - 10)",
    "exercise-worst": (
        "def my_worst_difference(reference, candidate):\n"
        "    return np.abs(np.subtract(reference, candidate)).max()"
    ),
    "exercise-launch": (
        "def my_break_even(build_s, slow_ms, fast_ms):\n"
        "    return int(np.ceil(1000 * build_s / (slow_ms - fast_ms)))"
    ),
    "exercise-files": (
        'my_files = {"phone": "LiteRT int8", "till": "OpenVINO fp32", "robot": "TensorRT fp16 for SM89"}'
    ),
}
