"""Sizes: in text, "64k", "1.5 GiB", "inf", base 1024; and as whole numbers."""
import operator
import re

from wrp.errors import UsageError

INFINITE = 2**63 - 1
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?:([kmgtp])?(?:i?b)?|bytes?)\s*", re.IGNORECASE)


def parse_size(text):
    """Bytes (int) of `text`: a number, or a string with an optional suffix k, m, g, t, p ("kb" and "KiB" too).

    Base 1024; fractions are cut to whole bytes; "inf" is 2**63 - 1. Anything else, and what is negative, is a UsageError.
    """
    if isinstance(text, str):
        return _checked(_parsed(text), text)
    if isinstance(text, bool) or not hasattr(text, "__int__"):
        raise UsageError(f"{text!r} is not a size: give a number of bytes, or text like '64k' or '1.5g'.")
    return _checked(text, text)


def _parsed(text):
    if text.strip().lower() in ("inf", "infinite", "infinity"):
        return INFINITE
    found = _SIZE.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not a size: give a number with one of the suffixes k, m, g, t, p.")
    number, suffix = found.groups()
    number = int(number) if number.lstrip("+-").isdigit() else float(number)
    return number * 1024 ** _POWERS[(suffix or "").lower()]


def _checked(number, text):
    if number != number or number < 0:
        raise UsageError(f"{text!r} is not a size: a size is zero or more bytes.")
    return INFINITE if number >= INFINITE else int(number)


def whole(number, what, least=None):
    """The int of a whole number of any type, an offset or a size: UsageError for a float, a text, …, and what is below `least`. `what` names it."""
    try:
        found = operator.index(number)
    except TypeError:
        raise UsageError(f"{what} {number!r:.80} is no whole number: round it, or give an int") from None
    if least is not None and found < least:
        raise UsageError(f"{what} {found} is {f'less than {least}' if least else 'negative'}")
    return found


def format_size(nbytes):
    """`nbytes` in the largest unit that leaves a number of 1 or more: 1572864 -> "1.5 MiB"."""
    if nbytes >= INFINITE:
        return "inf"
    power = 0
    while abs(nbytes) >= 1024 ** (power + 1) and power < 5:
        power += 1
    number = f"{nbytes / 1024**power:.2f}".rstrip("0").rstrip(".")
    return f"{number} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"
