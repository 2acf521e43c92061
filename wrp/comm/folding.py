"""The crc32 of bytes, alone or of those that a copy passes, as loops of registers of 64 bytes, or 32: for processors with VPCLMULQDQ and AVX-512, or AVX2. No other way here.

Four registers take every fourth line each (of 32 bytes eight every eighth): a line is read once, stored, and added to its register, which was multiplied by x**2048 modulo
the CRC's polynomial before. What they hold at the end has the remainder of all bytes, so the library's crc32 of these 256 bytes is that of all. Gopal et al., "Fast
CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009. A copy and crc32 by steps of 2 KiB took 54 us for 1 MiB in the cache, this takes 32; memcpy 28 to 50.
Without AVX-512 the multiplications are the limit: 41 us for 1 MiB, where the library, whose registers have 16 bytes there, takes 82; a copy from memory that is in no cache takes 45, 69
without asking for lines, memcpy 58.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from wrp.comm.checksum import power
from wrp.comm.symbols import CRC

BLOCK = 256                     # bytes of a round
_AHEAD = 4096                   # lines are asked for, into the second cache, so far ahead: the processor's own looking ahead ends with a page
_WAYS = (({"+avx512f", "+vpclmulqdq"}, 8), ({"+avx2", "+vpclmulqdq"}, 4))    # what a processor has, and the words of a register then
_ASKED = {8: 128, 4: 64}        # bytes that come when one is asked for: processors with the longer registers bring lines in pairs
_MOVES = [power((8 * BLOCK + shift) // 8) << 1 for shift in (32, -32)]    # what the two halves of 16 bytes are multiplied by

_word, _number, _flag = ir.IntType(64), ir.IntType(32), ir.IntType(8)


def _words(context):
    """Words of a register of the processor that code is made for, which Numba can be told; 0 where it lacks the instructions."""
    features = set(context.codegen()._tm_features.split(","))
    return next((words for needs, words in _WAYS if needs <= features), 0)


@intrinsic
def can_fold(typingctx):
    """Whether the copies below may be called: known when a kernel is compiled."""
    def generate(context, builder, signature, arguments):
        return context.get_constant(types.boolean, bool(_words(context)))
    return types.boolean(), generate


@intrinsic
def folds_alone(typingctx):
    """Whether `fold_alone` may be called and is faster than the library, which has registers of 64 bytes where the processor has."""
    def generate(context, builder, signature, arguments):
        return context.get_constant(types.boolean, _words(context) == 4)
    return types.boolean(), generate


@intrinsic
def fold_alone(typingctx, src, nbytes, crc):
    """crc32 of the bytes, continued from `crc`: a multiple of BLOCK, not none."""
    def generate(context, builder, signature, arguments):
        words = _words(context)
        return _Loop(builder, words, False, True).made(None, *arguments) if words else arguments[2]
    return types.int64(types.int64, types.int64, types.int64), generate


def _copy(streams, asks):
    """(dst, src, nbytes, crc) -> crc32 of the bytes, continued from `crc`: copies a multiple of BLOCK, not none, to a multiple of 64.

    streams : past the cache; a fence has to follow. asks : for the lines that come, from memory that nobody has looked at lately
    """
    def generate(context, builder, signature, arguments):
        words = _words(context)
        return _Loop(builder, words, streams, asks).made(*arguments) if words else arguments[3]

    @intrinsic
    def copy(typingctx, dst, src, nbytes, crc):
        return types.int64(types.int64, types.int64, types.int64, types.int64), generate
    return copy


class _Loop:
    """Writes one loop: of a copy, or where `dst` is None of the checksum alone."""

    def __init__(self, builder, words, streams, asks):
        self._builder, self._streams, self._asked = builder, streams, _ASKED[words] if asks else 0
        self._line, self._nbytes = ir.VectorType(_word, words), 8 * words
        self._multiply = self._function(f"llvm.x86.pclmulqdq.{64 * words}", self._line, [self._line, self._line, _flag])
        self._prefetch = self._function("llvm.prefetch.p0i8", ir.VoidType(), [_flag.as_pointer(), _number, _number, _number])
        self._moves = ir.Constant(self._line, words // 2 * _MOVES)

    def _function(self, name, result, arguments):
        return cgutils.get_or_insert_function(self._builder.module, ir.FunctionType(result, arguments), name)

    def made(self, dst, src, nbytes, crc):
        builder = self._builder
        first = self._moved(dst, src)
        # a crc32 begins, and goes on, with its complement in the first four bytes
        start = builder.and_(builder.not_(crc), _word(0xFFFFFFFF))
        first[0] = builder.xor(first[0], builder.insert_element(ir.Constant(self._line, [0] * self._line.count), start, _number(0)))
        before, head, body, end = builder.block, *map(builder.append_basic_block, ("head", "body", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        done, registers = builder.phi(_word), [builder.phi(self._line) for _ in first]
        builder.cbranch(builder.icmp_signed("<", done, nbytes), body, end)
        builder.position_at_end(body)
        lines = self._moved(dst and builder.add(dst, done), builder.add(src, done))
        folded = [self._folded(register, line) for register, line in zip(registers, lines)]
        for phi, at_first, later in zip([done, *registers], [_word(BLOCK), *first], [builder.add(done, _word(BLOCK)), *folded]):
            phi.add_incoming(at_first, before)
            phi.add_incoming(later, body)
        builder.branch(head)
        builder.position_at_end(end)
        return self._crc(registers)

    def _moved(self, dst, src):
        """The lines of a round, copied if there is a `dst`."""
        builder, steps = self._builder, [_word(step) for step in range(0, BLOCK, self._nbytes)]
        for step in range(_AHEAD, _AHEAD + BLOCK, self._asked) if self._asked else ():
            place = builder.inttoptr(builder.add(src, _word(step)), _flag.as_pointer())
            builder.call(self._prefetch, [place, _number(0), _number(2), _number(1)])
        lines = [builder.load(builder.inttoptr(builder.add(src, step), self._line.as_pointer()), align=1) for step in steps]
        for step, line in zip(steps, lines) if dst else ():
            stored = builder.store(line, builder.inttoptr(builder.add(dst, step), self._line.as_pointer()), align=self._nbytes)
            if self._streams:
                stored.set_metadata("nontemporal", builder.module.add_metadata([_number(1)]))
        return lines

    def _folded(self, register, line):
        low, high = (self._builder.call(self._multiply, [register, self._moves, _flag(which)]) for which in (0x00, 0x11))
        return self._builder.xor(self._builder.xor(low, high), line)

    def _crc(self, registers):
        builder = self._builder
        held = cgutils.alloca_once(builder, ir.ArrayType(self._line, len(registers)))
        for number, register in enumerate(registers):
            builder.store(register, cgutils.gep_inbounds(builder, held, 0, number), align=1)
        crc = self._function(CRC, _word, [_word] * 3)
        # the registers begin with all that a crc32 begins with: no second complement
        return builder.and_(builder.call(crc, [_word(0xFFFFFFFF), builder.ptrtoint(held, _word), _word(BLOCK)]), _word(0xFFFFFFFF))


fold, fold_asking, fold_streaming = _copy(False, False), _copy(False, True), _copy(True, True)
