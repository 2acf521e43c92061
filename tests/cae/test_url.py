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


def test_hints_for_a_source_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.h5").touch()
    assert url.hints("hdf5::tiny.h5:grp00") == "; did you mean hdf5::tiny.h5:/grp00?"
    assert url.hints("file::tiny.h5:grp00") == ""
    for pattern in ("run_*.h5", "run_?.h5", "~/run.h5"):
        assert "patterns and ~ are not expanded" in url.hints(f"hdf5::{pattern}")
    assert url.hints("file::a", "/jobs") == "; looked beside the job file too: /jobs/a"
    assert url.hints("file::/a", "/jobs") == url.hints("file::a", str(tmp_path)) == ""


@pytest.mark.parametrize("dst", ["b", "iowarp:b", "::b", "iowarp:/b"])
def test_a_destination_without_a_protocol(dst):
    with pytest.raises(JobFileError, match="did you mean 'iowarp::b'"):
        url.tag_of(dst)


@pytest.mark.parametrize("letter", ["\n", "\t", "\0", "\x7f", "\u2028"])
def test_no_control_characters_in_tags(letter):
    with pytest.raises(JobFileError, match="control character"):
        url.tag_of(f"iowarp::a{letter}b")
    assert url.tag_of("iowarp::größe 1") == "größe 1"


@pytest.mark.parametrize("given, shown", [
    ("http://u:p@h:1/a/b@c?sig=x&y=1", "http://h:1/a/b@c?..."), ("https://h/a", "https://h/a"), ("s3://b/k@x", "s3://b/k@x"), ("simplecache::https://u:p@h/x?y", "simplecache::https://h/x?..."),
    ("file:///a?b", "file:///a?b"), ("string::a@b?c", "string::a@b?c"), ("h:1", "h:1"),
])
def test_what_messages_show_of_a_url_holds_no_secret(given, shown):
    assert url.shown(given) == shown
    assert url.shown_in(f"403, url='{given}', no") == f"403, url='{shown}', no"


@pytest.mark.parametrize("given, shown", [("https::u:p@h/x?sig=y", "https::h/x?..."), ("s3::b/k", "s3::b/k"), ("file::a@b?c", "file::a@b?c")])
def test_nor_does_one_of_a_job_file_that_is_written_with_colons(given, shown):
    assert url.shown(given) == shown
