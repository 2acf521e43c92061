"""The command ``chimaera``, for those who know the reference: runtime start|stop|restart, compose, monitor, migrate. Does what wrp-runtime does."""

import sys

from wrp.runtime.commands import cli

_HELP = """usage: chimaera runtime start|stop|restart [options]
       chimaera compose [--unregister] FILE [options]
       chimaera monitor [-i SECONDS] [-o] [-j] [options]
       chimaera migrate --pool-id MAJOR.MINOR --container-id N --node-id M [options]

The options are those of wrp-runtime."""
_RUNTIME = ("start", "stop", "restart")
_OTHERS = ("compose", "monitor", "migrate")


def main(arguments=None):
    """Run the command; returns its exit code. Collective where it starts a runtime."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(_HELP)
        return 0 if given else 2
    if given[0] == "runtime" and len(given) > 1 and given[1] in _RUNTIME:
        return cli.main(given[1:])
    if given[0] in _OTHERS:
        return cli.main(given)
    print(f"wrp: chimaera doesn't know {' '.join(given[:2])!r}; it has: runtime {'|'.join(_RUNTIME)}, {', '.join(_OTHERS)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
