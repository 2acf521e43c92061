"""The job file loader: what it accepts with which defaults, and the sentence of every refusal (invalid/*.yaml)."""

from pathlib import Path

import pytest

from wrp.cae import omni
from wrp.errors import JobFileError

INVALID = sorted((Path(__file__).parent / "invalid").glob("*.yaml"))


def written(folder, text):
    path = folder / "jobs.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_refusal_has_the_expected_sentence_and_the_file(path):
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(JobFileError) as caught:
        omni.load(str(path))
    assert expected in str(caught.value)
    assert path.name in str(caught.value)
    assert "<unicode string>" not in str(caught.value) and "\n" not in str(caught.value)


def test_missing_job_file(tmp_path):
    with pytest.raises(JobFileError, match="^Failed to load OMNI file: "):
        omni.load(str(tmp_path / "none.yaml"))


def test_only_src_dst_and_format_are_needed_and_unknown_keys_do_not_matter(tmp_path):
    job = omni.load(written(tmp_path, """
version: 7
transfers:
  - {src: "file::/a", dst: "iowarp::t", format: binary, description: [x], colour: red}
"""))
    assert job.transfers == (omni.Transfer(number=1, src="file::/a", dst="iowarp::t", format="binary"),)


def test_all_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("WRP_TEST_SECRET", "s3cret")
    transfer, = omni.load(written(tmp_path, """
transfers:
  - src: "hdf5:///a.h5"
    dst: "iowarp::t"
    format: hdf5
    name: 7
    depends_on: ""
    range_off: 3
    range_size: 0x10
    src_token: "a${WRP_TEST_SECRET}b"
    dst_token: "${WRP_TEST_UNSET_VARIABLE}"
    dataset_filter: {include_patterns: ["/f/*"], exclude_patterns: ["*_backup"]}
""")).transfers
    assert transfer == omni.Transfer(1, "hdf5:///a.h5", "iowarp::t", "hdf5", "7", "", 3, 16, "as3cretb", "", ("/f/*",), ("*_backup",))


def test_relative_source_is_taken_from_here_first_then_from_beside_the_job_file(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / "both").touch(), (there / "both").touch(), (there / "beside:x.h5").touch()
    monkeypatch.chdir(here)
    job = omni.load(written(there, """
transfers:
  - {src: "file::both", dst: "iowarp::a", format: binary}
  - {src: "hdf5::beside:x.h5:/group/a", dst: "iowarp::b", format: binary}
  - {src: "file::neither", dst: "iowarp::c", format: binary}
"""))
    assert [t.src for t in job.transfers] == ["file::both", f"hdf5::{there}/beside:x.h5:/group/a", "file::neither"]


def test_anchors_that_lead_back_and_merged_keys_are_no_repeats(tmp_path):
    job = omni.load(written(tmp_path, """
common: &common {format: binary, src: "file::/a", back: &back [*back]}
transfers:
  - {<<: *common, dst: "iowarp::a"}
  - {<<: *common, dst: "iowarp::b", src: "file::/b"}
"""))
    assert [transfer.src for transfer in job.transfers] == ["file::/a", "file::/b"]


def test_tags_side_by_side_and_below_a_plain_file_do_not_clash():
    omni.check([omni.Transfer(1, "hdf5::a", "iowarp::o", "hdf5"), omni.Transfer(2, "file::b", "iowarp::op", "binary"),
                omni.Transfer(3, "file::c", "iowarp::x", "binary"), omni.Transfer(4, "hdf5::d", "iowarp::x/y", "hdf5")])
