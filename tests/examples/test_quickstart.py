"""The quickstart's simulation and job file: what they hold, and that the same seed makes the same files."""

import os
import runpy

import h5py
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
QUICKSTART = os.path.join(HERE, "..", "..", "examples", "quickstart")
FILES = ("run.h5", "probe.bin", "history.csv")


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(os.path.join(QUICKSTART, "simulate.py"))["main"]


@pytest.fixture(scope="module")
def made(main, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    assert main(["--out", str(folder), "--mib", "1"]) == 0
    return folder


def read(folder):
    return [(folder / name).read_bytes() for name in FILES]


def test_same_seed_gives_same_files(main, made, tmp_path):
    main(["--out", str(tmp_path / "a"), "--mib", "1"])
    main(["--out", str(tmp_path / "b"), "--mib", "1", "--seed", "8"])
    assert read(tmp_path / "a") == read(made)
    assert read(tmp_path / "b")[1] != read(made)[1]


def test_what_is_there_is_not_made_again(main, made, capsys):
    before = [(made / name).stat().st_mtime_ns for name in FILES]
    main(["--out", str(made), "--mib", "1"])
    assert "is there already" in capsys.readouterr().out
    assert [(made / name).stat().st_mtime_ns for name in FILES] == before


def test_file_holds_every_kind_of_dataset(made):
    with h5py.File(made / "run.h5", "r") as file:
        assert len([name for name in file if name.startswith("step_")]) >= 8
        step = file["step_07"]
        assert step["u"].chunks is None and step["v"].chunks and step["v"].compression is None
        assert step["v_packed"].compression == "gzip" and step["v_packed"].shuffle
        assert step["v"].shape[0] % step["v"].chunks[0], "a chunk at the edge should be cut"
        assert step["cells"].dtype.kind == "i" and step["peaks"].dtype.names
        assert h5py.check_string_dtype(file["notes/fixed"].dtype).length == 12
        assert h5py.check_string_dtype(file["notes/variable"].dtype).length is None
        assert file["empty/null"].shape is None and file["empty/no_rows"].size == 0
        assert file.attrs["model"] == "Gray-Scott" and step.attrs["time"] == 175.0
        assert file["latest/u"] == file["step_07/u"]


def test_job_file_names_the_three_files():
    from wrp.cae import omni

    transfers = omni.load(os.path.join(QUICKSTART, "jobs.yaml")).transfers
    assert [os.path.basename(transfer.src) for transfer in transfers] == list(FILES)
    assert [transfer.depends_on for transfer in transfers] == ["", "", "fields"]
