"""The command ``chimaera``, for those who know the reference: runtime start|stop|restart, compose, monitor, migrate. Does what wrp-runtime does."""

import sys

from wrp.comm.command import say
from wrp.comm.ranks import refuse
from wrp.errors import UsageError, WrpError
from wrp.runtime.commands import cli

_HELP = """usage: chimaera runtime start|stop|restart [options]
       chimaera compose [--unregister] FILE [options]
       chimaera monitor [-i SECONDS] [-o] [-j] [options]
       chimaera migrate --pool-id MAJOR.MINOR --container-id N --node-id M [options]

The options are those of wrp-runtime; chimaera COMMAND --help shows them."""
_RUNTIME = ("start", "stop", "restart")
_OTHERS = ("compose", "monitor", "migrate")


def main(arguments=None):
    """Run the command; returns its exit code. Collective where it starts a runtime."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["runtime"] and given[1:] and given[1] in _RUNTIME:
        return cli.main(given[1:], "chimaera runtime")
    if given and given[0] in _OTHERS:
        return cli.main(given, "chimaera")
    try:
        if given and given[-1] in ("-h", "--help"):
            say(_HELP)
            return 0
        raise UsageError(f"chimaera doesn't know {' '.join(given[:2])!r}; it has: runtime {'|'.join(_RUNTIME)}, {', '.join(_OTHERS)}; chimaera --help shows how "
                         "to call it")
    except WrpError as error:
        return refuse(error)


if __name__ == "__main__":
    sys.exit(main())
