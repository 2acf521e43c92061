"""Sizes in text."""
import numpy as np
import pytest

from wrp.comm.sizes import INFINITE, format_size, parse_size, whole
from wrp.errors import UsageError


@pytest.mark.parametrize("text, nbytes", [
    (5, 5), (2.7, 2), ("7", 7), ("64k", 65536), ("64K", 65536), ("1kb", 1024), ("1 KiB", 1024), ("3m", 3 << 20),
    ("1.5g", 3 << 29), (".5M", 1 << 19), ("2T", 2 << 40), ("1p", 1 << 50), ("10b", 10), ("100 bytes", 100), ("1e3", 1000),
    ("inf", INFINITE), (float("inf"), INFINITE), ("9000p", INFINITE), ("0", 0), ("9007199254740993", 9007199254740993),
])
def test_parse(text, nbytes):
    assert parse_size(text) == nbytes and type(parse_size(text)) is int


@pytest.mark.parametrize("text", ["", "k", "-1", "-2g", "5x", "1.2.3m", "64kk", "1 024", -1, float("nan"), None, True, [1]])
def test_refuse(text):
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("nbytes, text", [
    (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1572864, "1.5 MiB"), (1 << 50, "1 PiB"), (1 << 61, "2048 PiB"),
    (INFINITE, "inf"), (1000000, "976.56 KiB"),
])
def test_format(nbytes, text):
    assert format_size(nbytes) == text


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3), True + 2])
def test_whole_numbers_of_any_type(number):
    assert whole(number, "a size") == 3 and type(whole(number, "a size")) is int


@pytest.mark.parametrize("number", [3.0, np.float32(3), "3", None])
def test_what_is_no_whole_number(number):
    with pytest.raises(UsageError, match="a size .* is no whole number"):
        whole(number, "a size")
