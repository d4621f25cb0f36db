"""Guesses and answers of week 3."""

CELLS = {
    "predict-true": "guess_true.lock(90)",
    "predict-gradient": "guess_gradient.lock(100)",
    "predict-gain": "guess_gain.lock(2)",
    "predict-cache": "guess_cache.lock(2)",
    "predict-methods": "guess_methods.lock(8)",
    "predict-kept": "guess_kept.lock(90)",
    "exercise-target": (
        "import math\n"
        "def my_soft_target(scores, temperature, label):\n"
        "    parts = [math.exp(score / temperature) for score in scores]\n"
        "    return parts[label] / sum(parts)"
    ),
    "exercise-loss": (
        "def my_soft_loss(teacher_scores, student_scores, temperature):\n"
        "    p = [my_soft_target(teacher_scores, temperature, i) for i in range(len(teacher_scores))]\n"
        "    q = [my_soft_target(student_scores, temperature, i) for i in range(len(student_scores))]\n"
        "    return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q))"
    ),
    "exercise-others": (
        "def my_others(teacher_scores, student_scores, label):\n"
        "    teacher_rest, student_rest = (\n"
        "        [score for i, score in enumerate(scores) if i != label]\n"
        "        for scores in (teacher_scores, student_scores)\n"
        "    )\n"
        "    return my_soft_loss(teacher_rest, student_rest, 1)"
    ),
    "exercise-adapter": (
        "def my_adapter_weights(student_shape, teacher_shape):\n"
        "    if student_shape[0] == teacher_shape[0]:\n"
        "        return 0\n"
        "    return student_shape[0] * teacher_shape[0]"
    ),
    "exercise-interval": (
        "import statistics\n"
        "def my_low_end(taught, alone, t):\n"
        "    differences = [a - b for a, b in zip(taught, alone)]\n"
        "    spread = statistics.stdev(differences) / math.sqrt(len(differences))\n"
        "    return statistics.mean(differences) - t * spread"
    ),
    "exercise-fair": 'my_fair = {"A", "E"}',
}
