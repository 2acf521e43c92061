"""Fresh bytes: an object like any other once it is filled. The address of an array's bytes is what the array says."""

import numpy as np
import pytest
from wrp.comm import atomics
from wrp.comm.fresh import bytes_in, fresh_bytes
from wrp.comm.streaming import address_of


@pytest.mark.parametrize("nbytes", [1, 2, 3, 64, 4097, 1 << 20])
def test_what_is_written_is_the_content(nbytes):
    source = bytes(range(256)) * (nbytes // 256 + 1)
    data, address = fresh_bytes(nbytes)
    assert address == address_of(data) and len(data) == nbytes and data is not fresh_bytes(nbytes)[0]
    atomics.copy(address, address_of(source), nbytes)
    assert data == source[:nbytes] and hash(data) == hash(source[:nbytes]) and data + b"x" == source[:nbytes] + b"x"


def test_the_shared_one_is_refused():
    with pytest.raises(ValueError, match="share"):
        fresh_bytes(0)


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((4, 5), np.float32)[1:], np.frombuffer(b"read-only", np.uint8), np.array(7), np.zeros((0, 3))], ids=str)
def test_bytes_of_an_array(array):
    assert bytes_in(id(array)) == array.ctypes.data
