"""A quantizer's result as the page shows it: every number already in words, every list ready to draw."""

import math
from dataclasses import asdict
from typing import Any

from course_lib.benchmarking import format_bytes
from course_lib.benchmarking.number_text import significant
from course_lib.errors import SettingError
from course_lib.explore.quantizer import BITS, QuantizerResult, QuantizerSetting
from course_lib.explore.tensors import RowTensor
from course_lib.quantization import Granularity, PerChannel, PerGroup, PerTensor, ideal_sqnr_db

PER_TENSOR, PER_CHANNEL, GROUPS_OF = "per tensor", "per channel", "groups of "


def granularities(tensor: RowTensor) -> list[str]:
    """Return the names of the granularities that fit a tensor, coarse to fine."""
    return [PER_TENSOR, PER_CHANNEL, *(f"{GROUPS_OF}{size}" for size in tensor.group_sizes)]


def granularity_name(granularity: Granularity) -> str:
    """Return how the page calls a granularity."""
    match granularity:
        case PerTensor():
            return PER_TENSOR
        case PerChannel():
            return PER_CHANNEL
    return f"{GROUPS_OF}{granularity.group_size}"


def fitting_granularity(name: str, tensor: RowTensor) -> Granularity:
    """Return the granularity of this name, with the nearest group size that divides the tensor's channels.

    A channel that no offered size divides gets one scale.

    Raises
    ------
    SettingError
        If there is no such granularity.
    """
    if name == PER_TENSOR:
        return PerTensor()
    if name == PER_CHANNEL:
        return PerChannel()
    wanted = name.removeprefix(GROUPS_OF)
    if wanted == name or not wanted.isdecimal() or int(wanted) < 1:
        raise SettingError(
            f"There is no granularity called {name!r}; expected one of {', '.join(granularities(tensor))}."
        )
    size, count = int(wanted), tensor.values.shape[1]
    if count % size == 0:
        return PerGroup(size)
    if not tensor.group_sizes:
        return PerChannel()
    return PerGroup(min(tensor.group_sizes, key=lambda offered: abs(math.log(offered / size))))


def result_view(result: QuantizerResult, tensor_code: str) -> dict[str, Any]:
    """Return a result as plain values: tiles of text, what the charts draw, sentences, and code.

    ``tensor_code`` is Python that makes the tensor.
    """
    return {
        "label": _label(result),
        "exact": True,
        "granularity": granularity_name(result.setting.granularity),
        "tiles": {
            "scale": _scale_tile(result),
            "zero_point": _zero_point_tile(result),
            "error": _error_tile(result),
            "sqnr": _sqnr_tile(result),
            "size": _size_tile(result),
        },
        "histogram": asdict(result.histogram) | {"summary": _histogram_summary(result)},
        "grid": asdict(result.grid) | {"summary": _error_summary(result)},
        "curve": [
            {"bits": bits, "db": None if math.isinf(db) else db, "text": f"{bits} bits: {_decibels(db)}"}
            for bits, db in result.sqnr_by_bits
        ],
        "line": [[bits, ideal_sqnr_db(bits)] for bits in (BITS[0], BITS[-1])],
        "bits": result.setting.bits,
        "ideal_db": result.ideal_db,
        "curve_summary": f"At {result.setting.bits} bits {_decibels(result.sqnr_db)}. {result.explanation}",
        "explanation": result.explanation,
        "noise": _noise(result),
        "code": _code(result.setting, tensor_code),
    }


def _label(result: QuantizerResult) -> str:
    s = result.setting
    words = [f"{s.bits} bits", "symmetric" if s.symmetric else "asymmetric", granularity_name(s.granularity)]
    clip = f", {s.clip:.0%} of the range kept" if s.clip < 1 else ""
    outlier = f", one outlier at {s.outlier:g} σ" if s.outlier else ""
    return f"{result.tensor}: {' '.join(words)}{clip}{outlier}"


def _whose(result: QuantizerResult) -> str:
    grid = result.grid
    if grid.channel is None:
        return "the whole tensor"
    return f"channel {grid.channel}" + ("" if grid.group is None else f", group {grid.group}")


def _scale_tile(result: QuantizerResult) -> dict[str, str]:
    count = math.prod(result.shape)
    detail = f"the step S, one for all {count:,} values"
    if result.scales > 1:
        detail = f"the widest step S of {result.scales:,}: that of {_whose(result)}"
    return {"value": significant(result.grid.scale), "detail": detail}


def _zero_point_tile(result: QuantizerResult) -> dict[str, str]:
    grid = result.grid
    codes = f"codes {grid.quant_min:,} to {grid.quant_max:,}".replace("-", "−")
    return {"value": f"{grid.zero_point:,}", "detail": f"the code of 0.0; {codes}"}


def _error_tile(result: QuantizerResult) -> dict[str, str]:
    bound = f"S / 2 = {significant(result.half_step)}"
    if not result.clipped:
        return {"value": significant(result.max_error), "detail": f"at most {bound}; no value is clipped"}
    share = result.clipped / math.prod(result.shape)
    values = "value is" if result.clipped == 1 else "values are"
    detail = f"more than {bound}: {result.clipped:,} {values} clipped ({share:.2%})"
    return {"value": significant(result.max_error), "detail": detail}


def _sqnr_tile(result: QuantizerResult) -> dict[str, str]:
    distance = result.sqnr_db - result.ideal_db
    detail = "no error at all"
    if math.isfinite(distance):
        detail = f"{abs(distance):.1f} dB {'below' if distance < 0 else 'above'} the line"
    if result.rest_sqnr_db is not None:
        detail += f"; all values but the outlier: {_decibels(result.rest_sqnr_db)}"
    return {"value": _decibels(result.sqnr_db), "detail": detail}


def _size_tile(result: QuantizerResult) -> dict[str, str]:
    ratio = result.float_bytes / result.size_bytes
    scales = "1 scale" if result.scales == 1 else f"{result.scales:,} scales"
    detail = f"{ratio:.1f}× smaller than {format_bytes(result.float_bytes)}; {result.encoding}, with {scales}"
    return {"value": format_bytes(result.size_bytes), "detail": detail}


def _decibels(db: float) -> str:
    return "∞ dB" if math.isinf(db) else f"{db:.1f} dB"


def _histogram_summary(result: QuantizerResult) -> str:
    ends = (significant(end).replace("-", "−") for end in (result.low, result.high))
    values = f"{math.prod(result.shape):,} values from {' to '.join(ends)}"
    grid = result.grid
    if not grid.levels:
        count = grid.quant_max - grid.quant_min + 1
        return f"{values}; shaded: the range of the {count:,} grid values of {_whose(result)}"
    return (
        f"{values}; lines: the {len(grid.levels)} grid values of {_whose(result)}, "
        "dots: how many values land on each"
    )


def _error_summary(result: QuantizerResult) -> str:
    shape = "a sawtooth" if result.grid.levels else "a band, its teeth too fine to be drawn,"
    clipped = "; beyond the ends of the grid it grows without bound" if any(result.grid.clipped) else ""
    return f"The error is {shape} between ± S / 2 = {significant(result.grid.scale / 2)}{clipped}"


def _noise(result: QuantizerResult) -> dict[str, Any]:
    total = result.clipping_noise + result.rounding_noise
    if not total:
        return {"rounding": 0.0, "clipping": 0.0, "text": "No noise: every value lies on the grid"}
    clipping = result.clipping_noise / total
    return {
        "rounding": 1 - clipping,
        "clipping": clipping,
        "text": f"Noise: {1 - clipping:.1%} from rounding, {clipping:.1%} from clipping",
    }


def _code(s: QuantizerSetting, tensor_code: str) -> str:
    function, granularity = tensor_code.split("(")[0], type(s.granularity).__name__
    size = s.granularity.group_size if isinstance(s.granularity, PerGroup) else ""
    return (
        "from course_lib.explore import QuantizerSetting, study_quantizer\n"
        f"from course_lib.explore.tensors import {function}\n"
        f"from course_lib.quantization import {granularity}\n\n"
        f"x = {tensor_code}\n"
        f"setting = QuantizerSetting(\n    bits={s.bits}, symmetric={s.symmetric}, "
        f"granularity={granularity}({size}), clip={s.clip:g}, outlier={s.outlier:g}\n)\n"
        "result = study_quantizer(x, setting)\n"
    )
