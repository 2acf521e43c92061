"""The command ``wrp_run_thrpt_benchmark``: throughput and honest latencies of tasks, beside what the machine does without them."""

import sys

from wrp.comm.command import Parser, seconds_above_0, show, together
from wrp.comm.sizes import parse_size
from wrp.errors import UsageError

_CASES = ("latency", "bdev_task_alloc", "bdev_allocation", "bdev_io")
_POLICIES = ("map_by_pid_tid", "round_robin", "random")
_LARGEST = 1 << 40              # bytes of a device in ram


def main(arguments=None):
    """Run the command; returns its exit code (see wrp.errors). Collective over the ranks of the job."""
    return together(_parser(), parse, _run, arguments)


def _run(ranks, options):
    from wrp.runtime.bench import measuring, report             # slow to import, and nothing for --help and wrong arguments

    result = measuring.measure(ranks, options)
    show(ranks, result, options.json, report.lines(result, options.verbose))


def parse(arguments):
    """The options, sizes in bytes. Raises UsageError."""
    options = _parser().parse_args(arguments)
    options.io_size, options.max_file_size = parse_size(options.io_size), parse_size(options.max_file_size)
    _check(options)
    return options


def _check(options):
    """UsageError for options that don't go together. Local."""
    if not 1 <= options.threads <= 256:
        raise UsageError(f"--threads {options.threads}: it must be 1 to 256")
    if not 0 < options.duration <= 86400:
        raise UsageError(f"--duration {options.duration:g}: it must be more than 0 and at most 86400 seconds")
    if not 1 <= options.io_size <= options.max_file_size <= _LARGEST:
        raise UsageError("--io-size must be at least 1 byte and at most --max-file-size, and that at most 1t")
    if options.attach is not None and not options.output_dir.startswith("ram"):
        raise UsageError("--attach measures the devices in memory of a daemon: add --output-dir ram")


def _parser():
    parser = Parser(prog="wrp_run_thrpt_benchmark", description="Throughput and latency of the runtime's tasks; collective over the ranks of a job. "
                     "With two ranks or more on a node the first is the worker and the others are clients.")
    add = parser.add_argument
    add("--test-case", choices=_CASES, default="bdev_io", help="bdev_io: allocate, write, free; bdev_allocation: allocate, free; "
        "bdev_task_alloc: a task of the device with no work; latency: a task's round trip (default: bdev_io)")
    add("--threads", type=int, default=4, metavar="N", help="client threads of a rank (default: 4)")
    add("--duration", type=seconds_above_0, default=10.0, metavar="S", help="seconds (default: 10)")
    add("--max-file-size", default="1g", metavar="SIZE", help="most bytes of the device (default: 1g)")
    add("--io-size", default="4k", metavar="SIZE", help="bytes of an operation (default: 4k)")
    add("--lane-policy", choices=_POLICIES, help="taken and without effect: one worker serves all tasks of a pool")
    add("--output-dir", default="/tmp/wrp_benchmark", metavar="DIR", help="where the device's file is made, and removed; ram...: in memory (default: /tmp/wrp_benchmark)")
    add("--attach", nargs="?", const="", metavar="NAME", help="be clients of the running daemon of this name (default: WRP_RUNTIME_NAME)")
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="print every rank's figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
