"""What the loops under stress share: pseudo-random numbers, and turns at a token until a time."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.lock import token_take


@kernel
def next_seed(seed):
    """A pseudo-random number, the seed of the next (xorshift)."""
    seed ^= (seed << 13) & 0x7FFFFFFFFFFFFFFF
    seed ^= seed >> 7
    return seed ^ ((seed << 17) & 0x7FFFFFFFFFFFFFFF)


@kernel
def taken(token, holder, until):
    """True when the token is ours; False at the time."""
    while token_take(token, holder) != 0:
        if atomics.now_ns() >= until:
            return False
        atomics.yield_core()
    return True
