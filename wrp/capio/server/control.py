"""What commands ask of a running server, as JSON: launch a step, end it, status, report, end. No files and no rules of its own."""

import dataclasses
import itertools
import json
import os

from wrp.capio.rules import events
from wrp.capio import wire
from wrp.capio.server.account import merged


class Control:
    """Answers the requests of commands."""

    def __init__(self, server):
        self._server, self._owner, self._answers = server, None, itertools.count()

    def answer(self, connection, asked, at):
        """Send the reply: JSON, or the path of a file with it when it is long. Where other nodes know of it too, when they have said what."""
        nodes, what = self._server.nodes, asked.get("do")
        do = _DO.get(what)
        if do is None or (what == "start" and not isinstance(asked.get("step"), str)):
            self._reply(connection, {"error": f"this server doesn't know {what!r}"})
        elif nodes is None or what not in ("status", "report", "end"):
            self._reply(connection, do(self, connection, asked, at))
        elif what == "status":
            nodes.collect("status", lambda found: self._reply(connection, found[0] | {"nodes": [one["node"] for one in found]}))
        else:
            nodes.collect("report", lambda found: self._all_reported(connection, found, what == "end"))

    def of_node(self, what, at):
        """What this node knows, for one that collects it: its status or its report."""
        return self._status(None, {}, at) if what == "status" else self._server.account.report(at)

    def _all_reported(self, connection, found, is_end):
        self._reply(connection, merged(found))
        if is_end:
            self._server.end()

    def _reply(self, connection, value):
        text = json.dumps(value)
        connection.send(wire.Reply(text=text if len(text) < wire.TEXT else self._in_a_file(text)))

    def _in_a_file(self, text):
        path = self._server.place.folder / f"answer-{os.getpid()}-{next(self._answers)}"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def _own(self, connection, asked, at):
        """The server ends with this connection, and not before it says so."""
        self._owner, self._server.linger_s = connection, None
        return {}

    def _start(self, connection, asked, at):
        """A launcher begins a step; it lasts until the launcher says so, or goes."""
        server, step = self._server, asked["step"]
        connection.launches = step
        server.people.launched[step] = server.people.launched.get(step, 0) + 1
        server.account.step_began(step, at)
        server.desk.tell(events.StepStarted(step, asked.get("parts", 1), at=at))
        return {}

    def _stop(self, connection, asked, at):
        self._ended(connection, asked.get("code"), asked.get("signal"), at)
        return {}

    def dropped(self, connection, at):
        """A connection has ended; a launcher that didn't say how its step ended was killed."""
        if connection is self._owner:
            self._server.end()
        self._ended(connection, None, None, at)

    def _ended(self, connection, code, signal, at):
        step, connection.launches = connection.launches, None
        if step is None:
            return
        server = self._server
        server.people.launched[step] -= 1
        server.account.step_ended(step, at, code, signal)
        server.desk.tell(events.StepEnded(step, code, signal, at=at))

    def _status(self, connection, asked, at):
        server, machine = self._server, self._server.desk.machine
        nodes = server.nodes
        about = {} if nodes is None else {"node": {"node": nodes.node, "host": nodes.links.host(nodes.node), "pid": os.getpid(),
                                                   "capio_dir": server.capio_dir, "processes": server.people.count()}}
        return about | {"workflow": server.workflow.name, "pid": os.getpid(), "capio_dir": server.capio_dir, "at": at,
                "steps": [dataclasses.asdict(step) for step in machine.steps()],
                "files": [dataclasses.asdict(file) | self._steps_of(file.path) for file in machine.files()],
                "waiting": [dataclasses.asdict(waiting) for waiting in machine.who_waits()],
                "notes": server.desk.notes}

    def _steps_of(self, path):
        plan = self._server.workflow.look(path)
        return {"producers": plan.producers, "consumers": plan.consumers}

    def _report(self, connection, asked, at):
        return self._server.account.report(at)

    def _end(self, connection, asked, at):
        report = self._server.account.report(at)
        self._server.end()
        return report


_DO = {"own": Control._own, "start": Control._start, "stop": Control._stop, "status": Control._status, "report": Control._report,
       "end": Control._end}
