"""How figures are written: percent and points with two decimals, ratios with three figures, a real minus sign."""

import math
from decimal import ROUND_HALF_UP, Decimal


def write_percent(fraction: float) -> str:
    """A fraction 0..1 in percent, without the sign: 76.13."""
    return f"{100 * fraction:.2f}"


def write_points(points: float) -> str:
    """Percentage points: −0.05."""
    return _minus(f"{points:.2f}")


def write_signed(value: float, digits: int = 1) -> str:
    """A change with its sign: +3.1, −0.4, 0.0."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def write_count(number: int) -> str:
    """A whole number: 10,000."""
    return f"{number:,}"


def write_figures(number: float, figures: int = 3) -> str:
    """A number with so many significant figures, never in powers of ten: 6.91, 34.8, 1,235."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    rounded = float(f"{number:.{figures}g}")
    decimals = figures - 1 - math.floor(math.log10(abs(rounded)))
    return _minus(f"{number:,.{max(0, decimals)}f}")


def round_half_up(value: float | Decimal, digits: int) -> str:
    """A figure rounded once, from all the digits it has, a half upwards."""
    return f"{Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}"


def write_ratio(value: float) -> str:
    """Three decimals, more where a ratio that is not 1 would read 1.000: 0.9995."""
    digits = next((d for d in range(3, 9) if value == 1 or float(round_half_up(value, d)) != 1), 9)
    return round_half_up(value, digits)


def write_exact(value: float | Decimal, digits: int) -> str:
    """`round_half_up` without the zeros at its end, as the guides print figures: 5246.8."""
    text = round_half_up(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_small(number: float) -> str:
    """A number that may be tiny: 3.1e-06, or 0."""
    return "0" if number == 0 else f"{number:.1e}"


def write_probability(p: float) -> str:
    """A p-value: 0.031, or <0.001."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def write_size(size_bytes: int) -> str:
    """Memory and files: 15.6 GiB, 97.5 MiB, 2.44 KiB."""
    power, unit = (30, "GiB") if size_bytes >= 2**30 else (20, "MiB") if size_bytes >= 2**20 else (10, "KiB")
    return f"{write_figures(size_bytes / 2**power)} {unit}"


def write_mebibytes(size_bytes: int) -> str:
    """A size in MiB, without the unit: 97.6."""
    return write_figures(size_bytes / 2**20)


def join_words(words: list[str]) -> str:
    """An English list: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def count_of(number: int, thing: str) -> str:
    """A count with its noun: 1 image, 10,000 images."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _minus(text: str) -> str:
    if float(text.replace(",", "")) == 0:
        return text.lstrip("-")
    return text.replace("-", "−")
