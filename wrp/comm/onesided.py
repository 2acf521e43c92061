"""MPI's one-sided calls from kernels, by the addresses of its functions. Makes no window, waits for nothing.

Handles of MPI are integers or pointers, which both fit a word. They and the functions' addresses lie in an array of words, the
*calls*, whose address kernels get: unlike symbols they leave a kernel cacheable, and loadable where there is no MPI.
"""

import ctypes

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from wrp.comm import atomics
from wrp.comm.jit import kernel

_RPUT, _TEST, _IPROBE, _BYTE, _WINDOW, _COMM, _SOURCE, _TAG, _FLAG, _STATUS = (8 * number for number in range(10))
_WORDS = 32             # the last ones: room for a status
_FUNCTIONS = ("MPI_Rput", "MPI_Test", "MPI_Iprobe")
_INT, _WORD = ir.IntType(32), ir.IntType(64)
REFUSED = -1            # instead of a request: MPI has found that the target has died


def c_caller(arguments):
    """An intrinsic ``call(address, ...)`` of a C function that takes so many words and returns an int."""
    @intrinsic
    def call(typingctx, address, given):
        def codegen(context, builder, signature, args):
            words = [builder.extract_value(args[1], number) for number in range(arguments)]
            kind = ir.FunctionType(_INT, [_WORD] * arguments)
            return builder.sext(builder.call(builder.inttoptr(args[0], kind.as_pointer()), words), _WORD)
        return types.int64(types.int64, types.UniTuple(types.int64, arguments)), codegen
    return call


_call3, _call5, _call9 = map(c_caller, (3, 5, 9))


@kernel
def put_start(calls, origin, nbytes, rank, offset, request):
    """Begin to put `nbytes` from the address `origin` to `offset` of the rank's window; `request`: address of a word for `put_done`."""
    byte = atomics.load(calls + _BYTE)
    atomics.store(request, 0)
    code = _call9(atomics.load(calls + _RPUT), (origin, nbytes, byte, rank, offset, nbytes, byte, atomics.load(calls + _WINDOW), request))
    if code != 0:
        atomics.store(request, REFUSED)


@kernel
def put_done(calls, request):
    """True when the bytes at the origin may change again; never for a put that was refused."""
    if atomics.load(request) == REFUSED:
        return False
    code = _call3(atomics.load(calls + _TEST), (request, calls + _FLAG, calls + _STATUS))
    return code == 0 and atomics.load(calls + _FLAG) & 0xFFFFFFFF != 0


@kernel
def progress(calls, times):
    """Let MPI move what others ask of this process."""
    source, tag, comm = atomics.load(calls + _SOURCE), atomics.load(calls + _TAG), atomics.load(calls + _COMM)
    for _ in range(times):
        _call5(atomics.load(calls + _IPROBE), (source, tag, comm, calls + _FLAG, calls + _STATUS))


def calls_of(window, comm):
    """The calls, an array of words, for one thread's puts to a window over a communicator, of mpi4py; None where the functions
    aren't found."""
    if config.DISABLE_JIT:
        return None
    from mpi4py import MPI
    try:
        library = ctypes.CDLL(MPI.__file__)         # looks into the MPI that it was loaded with
        addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _FUNCTIONS]
        handles = [MPI._handleof(each) for each in (MPI.BYTE, window, comm)]
    except (OSError, AttributeError):
        return None
    calls = np.zeros(_WORDS, np.int64)
    for number, word in enumerate((*addresses, *handles, comm.rank, MPI.ANY_TAG)):
        calls[number] = ctypes.c_int64(word).value
    return calls
