"""Calls of kernels by their address, so that one compiled worker runs the handlers of modules it has never heard of."""

import inspect

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from wrp.errors import ConfigError

_SIGNATURE = (types.int64,) * 4
_WORD, _INT, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
FAILED = 99             # what `call_handler` gives when the kernel raised


@intrinsic
def call_handler(typingctx, address, context_, task, state, step):
    """The code that the kernel at `address` returns; FAILED when it raises."""
    def codegen(context, builder, signature, args):
        # as Numba calls its own functions: result and exception through pointers, status returned
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(_INT, [_WORD.as_pointer(), pointer.as_pointer()] + [_WORD] * 4)
        out, error = cgutils.alloca_once(builder, _WORD), cgutils.alloca_once(builder, pointer)
        function = builder.inttoptr(args[0], kind.as_pointer())
        status = builder.call(function, [out, error, *args[1:]])
        return builder.select(builder.icmp_signed("==", status, _INT(0)), builder.load(out), _WORD(FAILED))
    return types.int64(*[types.int64] * 5), codegen


def address_of(handler, what):
    """Address of a kernel ``handler(context, task, state, step)``, compiled if it isn't. Raises ConfigError, naming `what`."""
    if not isinstance(handler, Dispatcher) or len(inspect.signature(handler.py_func).parameters) != len(_SIGNATURE):
        raise ConfigError(f"{what} is no kernel of (context, task, state, step): decorate it with wrp.comm.jit.kernel")
    try:
        handler.compile(_SIGNATURE)
    except NumbaError as error:
        raise ConfigError(f"{what} can't be compiled for four integers: {error}") from error
    compiled = handler.overloads[_SIGNATURE]
    if types.unliteral(compiled.signature.return_type) != types.int64:
        raise ConfigError(f"{what} returns {compiled.signature.return_type}: a jitted handler returns an integer code on every path")
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
