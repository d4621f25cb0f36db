"""Formulas as MathML, which browsers show by themselves, with the network off, and read out."""

from html import escape

from course_lib.explore.latex import Part

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
OPEN = '<mo stretchy="false">'
FENCES = {"group": ("(", ")"), "floor": ("⌊", "⌋"), "ceiling": ("⌈", "⌉")}
TIMES = "<mo>⋅</mo>"


def equation(*sides: str) -> str:
    """Return the sides with signs of equality between them, as one formula of MathML."""
    return f"<math>{'<mo>=</mo>'.join(sides)}</math>"


def in_terms(head: str, part: Part, times: str = "", tail: str = "") -> list[str]:
    """Return an equation as one formula a term, which a page can put into several lines.

    Parameters
    ----------
    head, tail
        MathML before and behind, signs of equality included.
    part, times
        As for `markup`.
    """
    terms = part.parts if part.kind == "sum" else (part,)
    signs = part.text.replace("-", "−") if part.kind == "sum" else "+"
    shown = [
        f'<mo form="infix">{sign}</mo>{markup(term, times)}' for sign, term in zip(signs, terms, strict=True)
    ]
    shown[0] = head + markup(terms[0], times)
    shown[-1] += tail
    return [f"<math>{term}</math>" for term in shown]


def markup(part: Part, times: str = "") -> str:
    """Return a part of a formula as MathML.

    Parameters
    ----------
    times
        What stands between factors: nothing between symbols, `TIMES` between numbers.
    """
    inside = [markup(each, times) for each in part.parts]
    match part.kind:
        case "number":
            return f"<mn>{int(part.text):,}</mn>"
        case "symbol":
            return symbol(part.text)
        case "words":
            return f"<mtext>[{escape(part.text)}]</mtext>"
        case "product":
            return _row(times.join(inside))
        case "sum":
            signs = part.text.replace("-", "−")
            rest = (f"<mo>{sign}</mo>{term}" for sign, term in zip(signs[1:], inside[1:], strict=True))
            return _row("".join((inside[0], *rest)))
        case "power" if part.parts[1].kind == "number":
            # Without a font for mathematics, browsers put raised numbers too high.
            return _row(f'{inside[0]}<mo lspace="0" rspace="0">{part.parts[1].text.translate(RAISED)}</mo>')
        case "power":
            return f"<msup>{''.join(inside)}</msup>"
        case "fraction":
            return f"<mfrac>{''.join(inside)}</mfrac>"
        case "root":
            return f"<msqrt>{inside[0]}</msqrt>"
        case "condition":
            return _row(f"{OPEN}[</mo>{inside[0]}<mo>&gt;</mo>{inside[1]}{OPEN}]</mo>")
        case "call":
            return _row(f"{symbol(part.text)}{OPEN}(</mo>{'<mo>,</mo>'.join(inside)}{OPEN})</mo>")
    left, right = FENCES[part.kind]
    return _row(f"{OPEN}{left}</mo>{inside[0]}{OPEN}{right}</mo>")


def symbol(name: str) -> str:
    """Return a symbol such as "C_in", "H'" or "G_1" as MathML."""
    letter, _, index = name.partition("_")
    base = f"<mi>{escape(letter.rstrip(chr(39)))}</mi>"
    if letter.endswith("'"):
        base = _row(f'{base}<mo lspace="0" rspace="0">′</mo>')
    if not index:
        return base
    below = f"<mn>{index}</mn>" if index.isdigit() else f"<mtext>{escape(index)}</mtext>"
    return f"<msub>{base}{below}</msub>"


def _row(content: str) -> str:
    return f"<mrow>{content}</mrow>"
