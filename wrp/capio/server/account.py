"""What a run comes to: per step and file the bytes and the time waited, per step its times; the report at the end."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Use:
    """A step's use of one file. `opens`: those that were asked for, as of a file that was complete they needn't be."""

    opens: int = 0
    nbytes: int = 0
    waited_s: float = 0.0


@dataclass(slots=True)
class Span:
    """When a step ran, on the monotonic clock; `end` None while it runs. `waited_s`: over all its processes."""

    begin: float
    end: float | None = None
    code: int | None = None
    signal: int | None = None
    waited_s: float = 0.0


@dataclass
class Account:
    """Gathered while the workflow runs."""

    begun: float = field(default_factory=time.monotonic)
    uses: dict = field(default_factory=dict)            # (step, path): Use
    spans: dict = field(default_factory=dict)           # step: Span
    files: dict = field(default_factory=dict)           # path: bytes when it was committed

    def _use(self, step, path):
        found = self.uses.get((step, path))
        if found is None:
            found = self.uses[step, path] = Use()
        return found

    def opened(self, step, path):
        self._use(step, path).opens += 1

    def waited(self, step, path, seconds):
        self._use(step, path).waited_s += seconds
        if step in self.spans:
            self.spans[step].waited_s += seconds

    def read(self, step, path, nbytes, seconds):
        """What a program tells when it closes a file that it read while it grew."""
        self._use(step, path).nbytes += nbytes
        self.waited(step, path, seconds)

    def committed(self, path, nbytes):
        self.files[path] = nbytes

    def step_began(self, step, at):
        span = self.spans.get(step)
        if span is None:
            self.spans[step] = Span(at)
        else:
            span.end = None

    def step_ended(self, step, at, code, signal):
        span = self.spans.get(step)
        if span is not None:
            span.end, span.code, span.signal = at, code, signal

    def report(self, now):
        """The report as a JSON value; times in seconds."""
        spans = {step: (span.begin, now if span.end is None else span.end) for step, span in self.spans.items()}
        begin = min((span[0] for span in spans.values()), default=now)
        steps = [{"step": step, "begin_s": spans[step][0] - begin, "ran_s": spans[step][1] - spans[step][0], "waited_s": span.waited_s,
                  "exit_code": span.code, "signal": span.signal, "running": span.end is None} for step, span in self.spans.items()]
        files = [{"step": step, "path": path, "opens": use.opens, "bytes_streamed": use.nbytes, "waited_s": use.waited_s}
                 for (step, path), use in sorted(self.uses.items())]
        return _finished({"begun": time.time() - (now - begin), "steps": steps, "reads": files,
                          "committed": [{"path": path, "bytes": nbytes} for path, nbytes in sorted(self.files.items())]})


def merged(reports):
    """The report of a run on several nodes, of those of each node, the first first. A step that ran on several is one; `nodes`: where it ran, and where a
    file was read. Times by the nodes' clocks."""
    begun = min((report["begun"] for report in reports if report["steps"]), default=reports[0]["begun"])
    steps, reads = {}, []
    for node, report in enumerate(reports):
        reads += [use | {"node": node} for use in report["reads"]]
        for row in report["steps"]:
            row = row | {"begin_s": row["begin_s"] + report["begun"] - begun, "nodes": [node]}
            steps[row["step"]] = _joined(steps[row["step"]], row) if row["step"] in steps else row
    return _finished({"begun": begun, "steps": list(steps.values()), "reads": reads, "committed": reports[0]["committed"]})


def _joined(one, other):
    """Two parts of a step."""
    begin = min(one["begin_s"], other["begin_s"])
    end = max(part["begin_s"] + part["ran_s"] for part in (one, other))
    worse = other if one["exit_code"] == 0 else one
    return one | {"begin_s": begin, "ran_s": end - begin, "waited_s": one["waited_s"] + other["waited_s"], "running": one["running"] or other["running"],
                  "exit_code": worse["exit_code"], "signal": worse["signal"], "nodes": one["nodes"] + other["nodes"]}


def _finished(report):
    """With what all steps together come to."""
    spans = {row["step"]: (row["begin_s"], row["begin_s"] + row["ran_s"]) for row in report["steps"]}
    for row in report["steps"]:
        row["overlapped_s"] = _overlap(row["step"], spans)
    end, begin = max((span[1] for span in spans.values()), default=0.0), min((span[0] for span in spans.values()), default=0.0)
    return report | {"makespan_s": end - begin, "sum_of_steps_s": sum(row["ran_s"] for row in report["steps"])}


def _overlap(step, spans):
    """Seconds of a step's time in which another step ran too."""
    begin, end = spans[step]
    others = sorted((max(begin, other[0]), min(end, other[1])) for name, other in spans.items() if name != step)
    covered, upto = 0.0, begin
    for first, last in others:
        if last > max(first, upto):
            covered += last - max(first, upto)
            upto = last
    return covered
