"""Fresh bytes: an object like any other once it is filled."""

import pytest
from wrp.comm import atomics
from wrp.comm.fresh import fresh_bytes
from wrp.comm.streaming import address_of


@pytest.mark.parametrize("nbytes", [2, 3, 64, 4097, 1 << 20])
def test_what_is_written_is_the_content(nbytes):
    source = bytes(range(256)) * (nbytes // 256 + 1)
    data, address = fresh_bytes(nbytes)
    assert address == address_of(data) and len(data) == nbytes
    atomics.copy(address, address_of(source), nbytes)
    assert data == source[:nbytes] and hash(data) == hash(source[:nbytes]) and data + b"x" == source[:nbytes] + b"x"


@pytest.mark.parametrize("nbytes", [0, 1])
def test_shared_ones_are_refused(nbytes):
    with pytest.raises(ValueError, match="shared"):
        fresh_bytes(nbytes)
