"""The command ``wrp_cte_bench``: puts and gets of blobs by several clients, beside plain copies of the same bytes in the same run."""

import sys

from wrp.comm.command import Parser, show, together
from wrp.comm.sizes import format_size, parse_size
from wrp.errors import UsageError, WrpError

_CASES = ("Put", "Get", "PutGet")
_MOST = 1 << 40


def main(arguments=None):
    """Run the command; returns its exit code (see wrp.errors). Collective over the ranks of the job."""
    return together(_parser(), parse, _run, arguments)


def _run(ranks, options):
    from wrp.cte.bench.measuring import measure         # slow to import, and nothing for --help and wrong arguments

    result = measure(ranks, options)
    show(ranks, result, options.json, _lines(result))
    with ranks.agreed("looking at what went wrong"):
        if result["wrong"]:
            raise WrpError(f"{result['wrong']} of {result['blobs']} blobs didn't have the bytes that were put")
        for name, found in result["phases"].items():
            if found["failed"]:
                raise WrpError(f"{found['failed']} of {found['operations']} {name}s failed, first: {found['reason']}")


def parse(arguments):
    """The options, io_size in bytes. Raises UsageError."""
    options = _parser().parse_args(arguments)
    options.io_size = parse_size(options.io_size)
    if not (1 <= options.threads <= 256 and 1 <= options.depth <= 4096 and 1 <= options.io_count and 1 <= options.io_size):
        raise UsageError("threads must be 1 to 256, depth 1 to 4096, io_size and io_count 1 or more")
    if options.threads * options.io_count * options.io_size > _MOST:
        raise UsageError(f"{options.threads} threads of {options.io_count} blobs of {options.io_size} bytes are more than {format_size(_MOST)}")
    if options.jitted and (options.is_async or options.test_case == "Put"):
        raise UsageError("--jitted is for gets without --async: choose Get or PutGet")
    return options


def _lines(result):
    """The result for people."""
    options = result["options"]
    yield (f"{result['test_case']}: {result['size']} ranks, {options['threads']} threads each, depth {options['depth']}, {options['io_count']} blobs of "
           f"{format_size(options['io_size'])} a thread")
    yield f"  puts go into memory that {'has no pages yet' if options['fresh'] else 'has its pages'}"
    for name, found in result["phases"].items():
        speeds, latency = found["thread_MB_per_s"], found["latency_ns"]
        yield (f"  {name}: {found['MB_per_s']:,.1f} MB/s together, {found['operations_per_s']:,.0f}/s, {found['elapsed_s'] * 1e3:,.2f} ms, {found['failed']} failed; "
               f"a thread: min {speeds['min']:,.1f}, max {speeds['max']:,.1f}, avg {speeds['avg']:,.1f} MB/s; "
               + ", ".join(f"{share} {value / 1e3:.2f} us" for share, value in latency.items())
               + (f"; flush {found['flush_s'] * 1e3:,.2f} ms" if "flush_s" in found else ""))
    for name, value in result["ratios"].items():
        yield f"  {name.replace('_', ' ')}: {value:.3f}"
    if result["verified"]:
        yield f"  verified: {result['blobs']} blobs, {result['wrong']} wrong"


def _case(text):
    """The test case of this name, whatever its case."""
    return next((name for name in _CASES if name.lower() == text.lower()), text)


def _parser():
    parser = Parser(prog="wrp_cte_bench", description="Puts and gets of blobs, and plain copies of the same bytes; collective over the ranks of a job.")
    add = parser.add_argument
    add("test_case", type=_case, choices=_CASES, help="Put, Get (of blobs that are put before, not timed), or PutGet: one after the other; in any case")
    add("threads", type=int, help="clients of each rank")
    add("depth", type=int, help="operations that a client hands over together; a latency is theirs")
    add("io_size", help="bytes of a blob, e.g. 4k")
    add("io_count", type=int, help="blobs of each client")
    add("--store", metavar="DIR", help="folder of the store, kept (default: memory)")
    add("--config", metavar="FILE", help="configuration (default: as for every command)")
    add("--compression", metavar="TEXT", help="of the tags, e.g. 'zstd fast' or dynamic")
    add("--async", dest="is_async", action="store_true", help="hand over by futures of the client instead of one call for many")
    add("--jitted", action="store_true", help="gets by a jitted loop of a client without the GIL")
    add("--fresh", action="store_true", help="put into memory that has no pages yet (default: all blobs are put once before, untimed, and removed)")
    add("--verify", action="store_true", help="read everything once more and compare it with what was put")
    add("--json", action="store_true", help="print the result as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
