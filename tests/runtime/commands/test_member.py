"""`wrp-runtime member`: a safe device of a daemon whose member is lost, seen, recovered; others that come and go."""

import json
import os
import random

import pytest
from runtime.devices.safe.sets import break_disk, mend_disk

from wrp.runtime.commands import cli
from wrp.runtime.daemon import attach

NAME, MIB = "membered", 1 << 20


@pytest.fixture
def device(running, tmp_path):
    """One of 4 + 2 files that holds something."""
    paths = [str(tmp_path / f"m{number}") for number in range(6)]
    with attach(NAME) as attached:
        attached.pool("kept", "bdev", bdev_type="safe", capacity=8 * MIB, members=paths, max_failures=2)
        device = attached.device("kept")
        device.paths, device.data, device.offset = paths, random.Random(3).randbytes(MIB), device.lease(MIB)
        device.write(device.offset, device.data)
        yield device
        device.give_back(device.offset, MIB)
        device.close()
        attached.remove("kept")


def shown(device):
    out = bytearray(MIB)
    device.read(device.offset, out)
    return bytes(out)


def test_a_lost_member_is_seen_and_recovered(answer, device, tmp_path, monkeypatch):
    code, text, _ = answer("member", "list")
    assert code == 0 and "kept: 6 members, all of them in, 2 may be lost" in text
    break_disk(device.paths[1])
    assert shown(device) == device.data
    (found,) = json.loads(answer("member", "list", "--json")[1])
    assert (found["pool"], found["failed"], found["parity_level"], found["recovery_active"]) == ("kept", [device.paths[1]], 1, 0)
    assert f"kept: 6 members, 1 out ({device.paths[1]}), 1 more may be lost" in answer("monitor", "--once")[1]
    code, text, error = answer("member", "recover")
    assert (code, text) == (7, "") and "m1.fail says that it fails" in error
    mend_disk(device.paths[1])
    monkeypatch.chdir(tmp_path)
    code, text, _ = answer("member", "recover", "m1", "--pool", "kept", "--to", "elsewhere", "--json")
    assert code == 0 and json.loads(text)["recovered"] == {device.paths[1]: 4} and json.loads(text)["failed"] == []
    assert "no member of kept is out" in answer("member", "recover")[1]
    rows = answer("member", "list", "--pool", "kept")[1].splitlines()
    assert rows[2].split() == ["kept", str(tmp_path / "elsewhere"), "in"]
    code, text, _ = answer("member", "check")
    assert code == 0 and text == "kept: 4 rows, parity of 0 made anew, 0 chunks came back, 0 are lost\n"
    for path in (device.paths[0], device.paths[5]):
        break_disk(path)
    assert shown(device) == device.data


def test_members_come_and_go(answer, device, tmp_path):
    code, text, _ = answer("member", "add", tmp_path / "more", "--json")
    assert code == 0 and json.loads(text)["capacity"] > 8 * MIB and json.loads(text)["added"] == str(tmp_path / "more")
    assert str(tmp_path / "more") in answer("member", "list")[1]
    code, text, _ = answer("member", "remove", tmp_path / "more")
    assert code == 0 and text == f"{tmp_path / 'more'} is no member of kept any more\n" and os.path.getsize(tmp_path / "more") == 0
    assert str(tmp_path / "more") not in answer("member", "list")[1] and shown(device) == device.data
    code, _, error = answer("member", "remove", device.paths[0])
    assert code == 7 and "member 0 can't be removed: rows lie on it" in error


@pytest.mark.parametrize("arguments, sentence", [(("recover", "nobody"), "nobody is no member of kept: it has /"), (("remove", "nobody"), "nobody is no member of kept"),
                                                 (("recover", "--to", "x"), "one member can be recovered to x, and 0 are out"),
                                                 (("list", "--pool", "other"), "has no safe device 'other'")])
def test_what_is_no_member(answer, device, arguments, sentence):
    code, text, error = answer("member", *arguments)
    assert (code, text) == (2, "") and sentence in error and error.startswith("wrp: ") and error.count("\n") == 1
