"""Guesses and answers of week 2."""

CELLS = {
    "predict-separable": "guess_separable.lock(8.4)",
    "predict-block": "guess_block.lock(guess_block.options[1])",
    "predict-rule": "guess_rule.lock(guess_rule.options[0])",
    "predict-pairs": "guess_pairs.lock(95)",
    "predict-peak": "guess_peak.lock(guess_peak.options[2])",
    "predict-convert": "guess_convert.lock(guess_convert.options[0])",
    "exercise-left": ("def my_fraction(kernel, out_channels):\n    return 1 / out_channels + 1 / kernel**2"),
    "exercise-inverted": (
        "def my_count(in_channels, out_channels, resolution, expansion, stride):\n"
        "    wide, side = expansion * in_channels, -(-resolution // stride)\n"
        "    return resolution**2 * in_channels * wide + side**2 * (9 * wide + wide * out_channels)"
    ),
    "exercise-place": (
        "def my_place(channel, channels, groups):\n"
        "    row, column = divmod(channel, channels // groups)\n"
        "    return column * groups + row"
    ),
    "exercise-access": (
        "def my_access(in_channels, out_channels, pixels, groups):\n"
        "    return pixels * (in_channels + out_channels) + in_channels * out_channels // groups"
    ),
    "exercise-peak": "def my_peak(narrow, wide, side):\n    return (narrow + 2 * wide) * side**2",
    "exercise-choice": (
        "board = Microcontroller(\n"
        '    name="badge", title="badge reader", sram_bytes=64_000, flash_bytes=200_000, source="made up"\n'
        ")\n"
        "fits = [each for each in zoo.networks if each.peak_activation_bytes <= 64_000]\n"
        "fits = [each for each in fits if each.size_bytes <= 200_000]\n"
        "lowest = max(fits, key=lambda each: each.accuracy).accuracy_low\n"
        "equals = [each for each in fits if each.accuracy_high >= lowest]\n"
        "my_network = min(equals, key=lambda each: each.macs).name"
    ),
}
