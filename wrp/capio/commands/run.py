"""``capio run``: one step of a workflow, or all of them at once with a report at the end."""

import difflib
import json
import os
import signal
import sys

from wrp.capio.commands import launching, settings, steps
from wrp.capio.commands.printing import report_lines
from wrp.capio.language import graph
from wrp.errors import UsageError, WrpError


def run(args):
    """The exit code: the program's, or that of the step that failed first; 128 + the signal for one that was killed."""
    directory = settings.capio_dir(args.dir)
    workflow = settings.workflow_of(args.config, directory, args.prefix)
    graph.refuse_stuck(workflow)
    settings.say_what_has_no_meaning()
    if args.all:
        if args.step:
            raise UsageError("give a step and its program, or --all FILE, not both")
        return _all(workflow, steps.load(args.all), args, directory)
    if not args.step or not args.program:
        raise UsageError("give the step's name, --, and its program: capio run -c workflow.json STEP -- program arguments")
    _check(workflow, args.step)
    with launching.server_for(workflow, args, directory):
        return _ended([_forked(workflow, steps.Step(args.step, args.program), args, directory)])[0][1]


def _check(workflow, step):
    if workflow.step(step) is None and workflow.steps:
        names = [known.name for known in workflow.steps]
        near = difflib.get_close_matches(step, names, 1)
        raise UsageError(f"the workflow {workflow.name!r} has no step {step!r}" +
                         (f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}"))


def _code(code, number):
    return 128 + number if number is not None else code


def _all(workflow, given, args, directory):
    names = [step.name for step in given]
    for name in names:
        _check(workflow, name)
    with launching.server_for(workflow, args, directory) as client:
        client.control("own")           # if we are killed nobody else ends it
        ended = _ended([_forked(workflow, step, args, directory, names.count(step.name)) for step in given])
        report = client.control("end")
        client.wait_end()
    report["steps"] = [dict(step, exit_code=next((code for name, code in ended if name == step["step"]), None)) for step in report["steps"]]
    if args.json:
        print(json.dumps(report, indent=1), flush=True)
    else:
        print("\n".join(report_lines(report, directory)), file=sys.stderr, flush=True)
    return next((code for _, code in ended if code), 0)


def _forked(workflow, step, args, directory, parts=1):
    """A process of its own for each step: it is the one that the step's orphans come to, and has no other children."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return step.name, pid
    code = 1
    try:
        env = launching.environment(workflow, step.name, directory, args.via) | step.env
        code = _code(*launching.run_step(workflow, step, env, args.via, parts))
    except WrpError as error:
        settings.say(error)
        code = error.exit_code
    except BaseException as error:      # this process must not go on as its parent
        settings.say(f"{step.name}: {error!r}")
    finally:
        os._exit(code)


def _ended(launchers):
    """[(step, exit code)] in the order in which the steps ended. Ctrl-C is the programs' affair; SIGTERM is handed on to them."""
    names, ended = {pid: name for name, pid in launchers}, []
    before = signal.signal(signal.SIGINT, lambda *_: None), signal.signal(signal.SIGTERM, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in names])
    try:
        while names:
            pid, status = os.wait()
            if pid in names:
                ended.append((names.pop(pid), 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)))
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    return ended
