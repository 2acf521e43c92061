"""Who announces that it writes: each thread for itself, and each of its opens, whatever the other ones do meanwhile."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from capio.served import document
from wrp.capio import wire
from wrp.capio.client import Client
from wrp.capio.server.writers import Writers


@pytest.fixture
def flow(make_flow):
    return make_flow(document(**{"a": "on_close update"}))


def _seen(flow, writers):
    """What the server says of the file once it has so many writers."""
    def found(status):
        return next((file for file in status["files"] if file["path"].endswith("/a")), {"writers": -1})
    return found(flow.wait_for(lambda status: found(status)["writers"] == writers))


@pytest.mark.parametrize("error", [0, 13])
def test_of_two_threads_each_has_its_own(flow, error):
    path, clients = str(flow.dir / "a"), [Client(flow.name, "writer") for _ in range(2)]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for thread, client in zip((one, other), clients):
            assert thread.submit(client.ask, wire.Request(wire.WRITE, flags=os.O_WRONLY | os.O_CREAT, path=path)).result().error == 0
        files = [os.open(path, os.O_WRONLY | os.O_CREAT) for _ in range(1 if error else 2)]
        one.submit(clients[0].tell, wire.Request(wire.OPENED, path=path)).result()
        other.submit(clients[1].tell, wire.Request(wire.OPENED, a=error, path=path)).result()
    _seen(flow, len(files))
    for left in reversed(range(len(files))):
        os.close(files[left])
        _seen(flow, left)
    for client in clients:
        client.close()


def test_of_one_that_does_not_tell_an_open_that_may_have_happened_stays(tmp_path):
    """Of those whose calls the kernel holds: nothing is told but of opens that don't happen."""
    made, path = Writers(lambda post: wire.UNTOLD), str(tmp_path / "a")
    for number in range(3):
        with open(path, "a"):
            made.announce(path, "writer", 1, False, thread=5)
            assert len(made.of(path)) == number + 1
            made.announce(path, "writer", 1, False, thread=5)
            assert len(made.of(path)) == number + 2
        made.announce(path, "writer", 1, False, thread=5)
        assert len(made.of(path)) == number + 2         # nobody has it open: the last one came to nothing
        made.drop(made.of(path)[-1])


@pytest.mark.parametrize("storage", [{}, {"memory": ["a"]}])
def test_an_open_that_is_told_of_when_the_name_is_gone_was_of_what_is_gone(make_flow, storage):
    flow = make_flow(document(**{"a": "on_close update"}) | {"storage": storage})
    flow.hold("writer")
    path, client = str(flow.dir / "a"), Client(flow.name, "writer")
    there = client.ask(wire.Request(wire.WRITE, flags=os.O_WRONLY | os.O_CREAT, path=path)).text
    flow.server.send_signal(signal.SIGSTOP)
    file = os.open(there or path, os.O_WRONLY | os.O_CREAT)
    if there:
        os.symlink(there, path)
    client.tell(wire.Request(wire.OPENED, path=path))
    os.unlink(path)
    flow.server.send_signal(signal.SIGCONT)
    assert bool(there) == bool(storage) and not _seen(flow, 0)["is_born"]
    os.close(file)
    with open(path, "w"):           # by a program that isn't seen
        assert not _seen(flow, 0)["is_committed"]
    assert flow.wait_for(lambda status: any(file["is_committed"] for file in status["files"]))["files"][0]["closes"] == 1
    client.close()
