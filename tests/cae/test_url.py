"""URLs and the selector behind an HDF5 path."""

import pytest

from wrp.cae import url
from wrp.errors import JobFileError


@pytest.mark.parametrize("text, parts", [
    ("file::/a/b", ("file", "/a/b")),
    ("hdf5:///a", ("hdf5", "/a")),
    ("a::b://c", ("a::b", "c")),            # `://` is looked for first
    ("file::a::b", ("file", "a::b")),
    ("file::", ("file", "")),
])
def test_parse(text, parts):
    assert url.parse(text) == parts


@pytest.mark.parametrize("text", ["", "plain", "::x", "://x", "file:x"])
def test_not_a_url(text):
    with pytest.raises(JobFileError, match="is not a URL"):
        url.parse(text)


def test_selector_is_split_only_behind_a_file(tmp_path):
    file = tmp_path / "a:b.h5"
    file.touch()
    assert url.split_selector(f"{file}:/g/d") == (str(file), "/g/d")
    assert url.split_selector(str(file)) == (str(file), "")
    assert url.split_selector(f"{tmp_path}/none:/g") == (f"{tmp_path}/none:/g", "")
