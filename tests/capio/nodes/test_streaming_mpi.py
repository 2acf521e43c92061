"""Files from rank to rank without a server around them: through a stream, and through one that breaks. Holds for two ranks or more."""

import os
import random
import resource
import time

import pytest

from wrp.capio.nodes.links import SLOTS, Links
from wrp.capio.nodes.receiving import Receiver
from wrp.capio.nodes.sending import Sender
from wrp.comm.ranks import world

pytestmark = pytest.mark.mpi
_NBYTES, _WAIT_S = 60_000_000, 20


class End:
    """A rank's part of the nodes: what it sends, what comes to it."""

    def __init__(self, ranks, folder):
        self.rank, self.links, self.folder = ranks.rank, Links(ranks, 30.0, "tcp"), folder
        self.unread, self.came, self.told = [], {}, []
        self.sender = Sender(self.links, lambda path, node, error: self.unread.append((os.path.basename(path), node)))
        self.receiver, self.has_zeros = Receiver(self.links, self.arrived), False

    def arrived(self, copy, found):
        """In the threads."""
        name = os.path.basename(copy.path)
        self.came.setdefault(name, []).append(found)
        if name == "cut" and found:
            with open(copy.path, "rb") as file:
                self.has_zeros |= b"\0" in file.read(found)

    def turn(self):
        """Do what the messages say, as a server does."""
        while self.links.inbox:
            node, (what, *more) = self.links.inbox.popleft()
            self.told.append(what)
            if what == "begin":
                number, name, mode, is_streamed = more
                self.receiver.begin(str(self.folder / name), (node, number), mode, is_streamed)
            elif what == "confirmed":
                self.sender.confirmed(*more)

    def until(self, is_done):
        deadline = time.monotonic() + _WAIT_S
        while not is_done():
            assert time.monotonic() < deadline, (self.told, {name: found[-3:] for name, found in self.came.items()})
            self.turn()
            time.sleep(1e-3)

    def close(self):
        self.sender.close()
        self.receiver.close()
        self.links.close()


@pytest.fixture
def ends(tmp_path):
    ranks = world()
    if ranks.size == 1:
        pytest.skip("one rank sends to nobody")
    end = End(ranks, tmp_path)
    yield ranks, end
    end.close()


_DATA = random.Random(7).randbytes(1 << 20) * (_NBYTES >> 20)


def test_a_file_that_grows(ends, tmp_path):
    ranks, end = ends
    path = tmp_path / "grows"
    if ranks.rank == 0:
        with open(path, "wb", buffering=0) as file:
            end.sender.begin(str(path), "grows", 1, False)
            for at in range(0, len(_DATA), 5_000_001):
                file.write(_DATA[at:at + 5_000_001])
                end.sender.grown()
        end.sender.completed(str(path))
        end.until(lambda: "confirmed" in end.told)
    elif ranks.rank == 1:
        end.until(lambda: path.exists() and end.receiver._by_path[str(path)].is_whole)
        assert path.read_bytes() == _DATA and len(_DATA) in end.came["grows"]
    ranks.barrier("the file is there")


def test_a_stream_that_breaks(ends, tmp_path):
    """What hasn't been confirmed comes again, in pieces; so does all that is sent later."""
    ranks, end = ends
    path, later = tmp_path / "breaks", tmp_path / "later"
    if ranks.rank == 0:
        path.write_bytes(_DATA[:_NBYTES // 2])
        end.sender.begin(str(path), "breaks", 1, False)
    elif ranks.rank == 1:
        end.until(lambda: any(found for found in end.came.get("breaks", ())))
        for sock in list(end.links.streams._open):
            sock.shutdown(2)
    ranks.barrier("the stream is broken")
    if ranks.rank == 0:
        with open(path, "ab") as file:
            file.write(_DATA[_NBYTES // 2:])
        end.sender.completed(str(path))
        end.sender.grown()
        end.until(lambda: 1 in end.sender._lost_ways)
        later.write_bytes(b"later")
        end.sender.begin(str(later), "later", 1, False)
        end.sender.completed(str(later))
    elif ranks.rank == 1:
        end.until(lambda: 5 in end.came.get("later", ()) and len(_DATA) in end.came["breaks"])
        end.until(lambda: later.exists() and later.read_bytes() == b"later" and path.read_bytes() == _DATA)
    ranks.barrier("the files are there")


def test_a_file_that_is_cut(ends, tmp_path):
    """Nobody is told of bytes that it hadn't."""
    ranks, end = ends
    path = tmp_path / "cut"
    if ranks.rank == 0:
        path.write_bytes(b"y" * _NBYTES)
        end.sender.begin(str(path), "cut", 1, False)
        time.sleep(0.2)             # the stream is full
        os.truncate(path, 1000)
    ranks.barrier("the file is cut")
    if ranks.rank == 0:
        with open(path, "ab") as file:
            file.write(b"x" * 1000)
        end.sender.completed(str(path))
        end.until(lambda: "confirmed" in end.told)          # it came by a stream, as what comes later will
        assert not end.sender._lost_ways
    elif ranks.rank == 1:
        end.until(lambda: path.exists() and end.receiver._by_path[str(path)].is_whole)
        assert path.read_bytes() == b"y" * 1000 + b"x" * 1000 and not end.has_zeros
    ranks.barrier("the file is there")


@pytest.mark.parametrize("may_change", [False, True])
def test_a_file_that_is_cut_when_it_is_complete(ends, tmp_path, may_change):
    """While another one is in its way, on a stream, or all slots are taken."""
    ranks, end = ends
    large, path = tmp_path / "large", tmp_path / "short"
    if ranks.rank == 0:
        for one in (large, path):
            one.write_bytes(bytes(_NBYTES))
            end.sender.begin(str(one), one.name, 1, may_change)
            end.sender.completed(str(one))
        os.truncate(path, 1000)
    ranks.barrier("the file is cut")
    if ranks.rank == 1:
        end.until(lambda: all(one.exists() and end.receiver._by_path[str(one)].is_whole for one in (large, path)))
        assert (large.stat().st_size, path.stat().st_size) == (_NBYTES, 1000)
    ranks.barrier("the files are there")


@pytest.mark.parametrize("is_complete", [False, True])
def test_a_file_that_is_made_again(ends, tmp_path, is_complete):
    """Nothing of the earlier one is there once it is told that the new one, which has nothing yet, is."""
    ranks, end = ends
    path = tmp_path / "again"
    if ranks.rank == 0:
        path.write_bytes(bytes(5000))
        end.sender.begin(str(path), "again", 1, False)
        if is_complete:
            end.sender.completed(str(path))
    elif ranks.rank == 1:
        end.until(lambda: end.came.get("again", []).count(5000) == 1 + is_complete)
        end.came["again"].clear()
        earlier = open(path, "rb")
    ranks.barrier("the first is there")
    if ranks.rank == 0:
        path.unlink()
        path.touch()
        end.sender.begin(str(path), "again", 1, False)
    elif ranks.rank == 1:
        end.until(lambda: end.came["again"])
        assert end.came["again"] == [0] and path.stat().st_size == 0
        with earlier:
            assert earlier.read() == bytes(5000)        # who had it open reads on
    ranks.barrier("the second is there")


def test_what_cannot_be_read_is_told_and_leaves_room_for_others(ends, tmp_path):
    ranks, end = ends
    names = [f"d{number}" for number in range(SLOTS + 1)]
    if ranks.rank == 0:
        for name in names:          # what is opened as a file is, and has bytes, but can't be read
            (tmp_path / name / "entry").mkdir(parents=True)
            end.sender.begin(str(tmp_path / name), name, 1, True)
        end.until(lambda: len(end.unread) == len(names))
        assert sorted(end.unread) == sorted((name, 1) for name in names)
        (tmp_path / "fine").write_bytes(b"fine")
        end.sender.begin(str(tmp_path / "fine"), "fine", 1, True)
        end.sender.completed(str(tmp_path / "fine"))
    elif ranks.rank == 1:
        end.until(lambda: (tmp_path / "fine").exists() and end.receiver._by_path[str(tmp_path / "fine")].is_whole)
    ranks.barrier("what can be read is there")


def test_a_file_that_nobody_can_write(ends, tmp_path):
    """The error is told, and others come through the same stream."""
    ranks, end = ends
    if ranks.rank == 0:
        for name, nbytes in (("large", 3_000_000), ("fine", 500_000)):
            (tmp_path / name).write_bytes(b"y" * nbytes)
        ranks.barrier("files are here")
        for name in ("large", "fine"):
            end.sender.begin(str(tmp_path / name), name, 1, False)
            end.sender.completed(str(tmp_path / name))
        end.until(lambda: end.told.count("confirmed") == 2)
    elif ranks.rank == 1:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            ranks.barrier("files are here")
            end.until(lambda: 500_000 in end.came.get("fine", ()) and end.receiver._by_path[str(tmp_path / "fine")].is_whole)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert isinstance(end.came["large"][-1], OSError) and not end.receiver._by_path[str(tmp_path / "large")].is_whole
    else:
        ranks.barrier("files are here")
    ranks.barrier("the file is there")
