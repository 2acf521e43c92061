"""The command ``capio_server``: serves a workflow on this node until it is ended. The reference's options are taken or refused with a sentence."""

import gc
import sys
import time

from wrp.capio.commands import settings, storage
from wrp.capio.language import graph
from wrp.capio.rules import Options
from wrp.capio.server import place
from wrp.capio.server.server import Server
from wrp.comm.command import Parser, seconds
from wrp.comm.ranks import run
from wrp.comm.ranks.launcher import launcher
from wrp.errors import RuntimeGone, UsageError, WrpError


def main(arguments=None):
    """Run the command; returns its exit code (see wrp.errors)."""
    try:
        args, started = _parser().parse_args(arguments), launcher()
        if started is not None and started.size != 1:
            return run(lambda ranks: over_nodes(args, ranks))
        return serve(args)
    except WrpError as error:
        settings.say(error)
        return error.exit_code


def _parser():
    parser = Parser(prog="capio_server", description="Serve a workflow on this node: let its steps wait for each other's files.", allow_abbrev=False)
    rules = parser.add_mutually_exclusive_group(required=True)
    rules.add_argument("-c", "--config", metavar="FILE", help="the workflow, in CAPIO-CL")
    rules.add_argument("--no-config", action="store_true", help="no rules: nobody waits for anything")
    parser.add_argument("-r", "--resolve-prefix", "--prefix", metavar="PATH", help="what relative paths of the file are relative to (default: CAPIO_DIR)")
    parser.add_argument("--dir", metavar="DIR", help="the directory of the workflow's files (default: CAPIO_DIR)")
    parser.add_argument("-b", "--backend", default="none", metavar="NAME", help="none or mpi; several nodes are served whenever mpirun or srun starts one server on each")
    parser.add_argument("-d", "--log-dir", metavar="DIR", help="taken, without meaning")
    parser.add_argument("-l", "--log", metavar="NAME", help="taken, without meaning")
    parser.add_argument("-m", "--mem-only", "--mem", action="store_true", help="all files lie in memory, wherever CAPIO_DIR does")
    parser.add_argument("--continue-on-error", action="store_true", help="taken, without meaning")
    parser.add_argument("--linger", type=seconds, metavar="S", help="end when every step has run, or nobody has been there for S seconds")
    add_rules(parser)
    return parser


def add_rules(parser):
    """Options of a server, whoever starts it: how waits end, where files stay."""
    parser.add_argument("--on-failure", choices=("error", "eof"), default="error",
                        help="what readers get of a file whose producer failed: the error EIO, or an end of file (default: error)")
    parser.add_argument("--keep", metavar="DIR", help="bring permanent files here when they are complete, and from CAPIO_DIR at the end (default: they stay); a server that runs already keeps its own")
    parser.add_argument("--deadline", type=seconds, metavar="S", help="end every wait with EIO after S seconds (default: none)")


def over_nodes(args, ranks):
    """Serve as one of the servers of several nodes. Collective."""
    if ranks.size == 1:
        return serve(args)
    if ranks.size != ranks.nodes:
        raise UsageError(f"{ranks.size} servers on {ranks.nodes} nodes: start one on each, e.g. mpirun --map-by ppr:1:node capio_server ..., srun -N 2 "
                         "--ntasks-per-node=1 capio_server ...")
    if args.linger is not None:
        raise UsageError("--linger is for one node: the servers of several end with capio stop, or their job")
    from wrp.capio.nodes.links import Links     # numpy and MPI, which one node doesn't want
    from wrp.capio.nodes.sharing import is_shared
    with ranks.agreed("CAPIO_DIR"):
        directory, transport = settings.capio_dir(args.dir), settings.transport()
    shared = is_shared(ranks, directory)
    links = Links(ranks, settings.silent_s(), transport)
    links.is_shared = shared
    if shared and ranks.rank == 0:
        settings.say("all nodes have one CAPIO_DIR: files are read where they are, no bytes are moved")
    try:
        code = serve(args, links)
    except BaseException:
        links.tell_all("end")   # the others would wait for this one
        raise
    finally:
        links.close()
    while links.is_out:
        time.sleep(1)           # an end of this process would end the others, which go on
    if links.is_silent:
        raise RuntimeGone(f"nodes {', '.join(map(str, sorted(links.is_silent)))} are silent: the job of the servers ends")
    return code


def serve(args, links=None):
    """Serve until SIGTERM, SIGINT, `capio stop` or the end of all steps."""
    if args.backend not in ("none", "mpi"):
        raise UsageError(f"--backend {args.backend}: there are none and mpi, which is taken whenever mpirun or srun starts servers on several nodes")
    if args.config == "dynamic":
        raise UsageError("-c dynamic: rules that come while the workflow runs aren't taken; write them into a file")
    for option, is_given in (("--log-dir", args.log_dir), ("--log", args.log), ("--continue-on-error", args.continue_on_error)):
        if is_given:
            settings.say(f"{option} has no meaning here")
    settings.say_what_has_no_meaning()
    directory = settings.capio_dir(args.dir)
    workflow = settings.workflow_of(args.config, directory, args.resolve_prefix)
    keep = storage.keep(args.keep, directory)
    graph.refuse_stuck(workflow)
    elsewhere, notes = storage.decide(workflow, keep, args.mem_only, links is not None and links.is_shared)
    for note in (*workflow.notes, *notes):
        settings.say(note)
    said = _say_left(*place.tidy_all(), ())
    server = Server(workflow, directory, Options(on_failure=args.on_failure, deadline_s=args.deadline), args.linger, links, keep, elsewhere)
    try:
        _say_left(*server.place.left, said)
        gc.freeze()                     # what is loaded by now is never garbage,
        gc.set_threshold(50_000, 20)    # and of what is known of files hardly anything: looking through all of it took half of the server's time
        server.run()
    finally:
        server.close()
    return 0


def _say_left(gone, sentences, said):
    """Say what became of the files of servers that were killed, but for sentences that were `said`; returns the sentences."""
    for path in gone:
        settings.say(f"removed {path}, which a server that was killed had left")
    for sentence in sentences:
        if sentence not in said:
            settings.say(sentence)
    return sentences


if __name__ == "__main__":
    sys.exit(main())
