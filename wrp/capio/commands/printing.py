"""Reports and states as lines for people."""

import json
import os

from wrp.comm.sizes import format_size


def _table(rows):
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(str(cell).ljust(width) if number == 0 else str(cell).rjust(width)
                      for number, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def _short(path, directory):
    return os.path.relpath(path, directory) if path.startswith(directory + "/") else path


def report_lines(report, directory):
    """The report of a whole run."""
    rows = [("step", "ran", "waited", "overlapped", "ended")]
    rows += [(step["step"], f"{step['ran_s']:.2f} s", f"{step['waited_s']:.2f} s", f"{step['overlapped_s']:.2f} s", _ending(step))
             for step in report["steps"]]
    lines = _table(rows)
    if report["reads"]:
        rows = [("step reads file", "opens", "streamed", "waited")]
        rows += [(f"{use['step']}  {_short(use['path'], directory)}" + (f"  (node {use['node']})" if "node" in use else ""), use["opens"], format_size(use["bytes_streamed"]), f"{use['waited_s']:.2f} s")
                 for use in report["reads"]]
        lines += ["", *_table(rows)]
    if report["committed"]:
        lines += ["", *_table([("complete file", "bytes")] + [(_short(file["path"], directory), format_size(file["bytes"])) for file in report["committed"]])]
    return [*lines, "", f"makespan {report['makespan_s']:.2f} s, sum of the steps {report['sum_of_steps_s']:.2f} s"]


def _ending(step):
    if step["running"]:
        return "running"
    if step["signal"] is not None:
        return f"signal {step['signal']}"
    return "unknown" if step["exit_code"] is None else f"exit {step['exit_code']}"


def status_lines(status):
    """Who waits for what, and how the files stand."""
    lines = [f"workflow {status['workflow']}: process {status['pid']}, {status['capio_dir']}"]
    lines += [f"node {node['node']}, {node['host']}: process {node['pid']}, {node['capio_dir']}, {node['processes']} processes of steps" for node in status.get("nodes", ())]
    lines += [f"step {step['name']}: {step['state']}, {len(step['processes'])} processes" for step in status["steps"]]
    lines += [f"waiting {status['at'] - waiting['since']:.1f} s: {waiting['sentence']}" for waiting in status["waiting"]] or ["nobody waits"]
    for file in status["files"]:
        state = f"failed: {file['failed']}" if file["failed"] else _state(file)
        lines.append(f"file {_short(file['path'], status['capio_dir'])}: {state}, {format_size(file['size'])}, "
                     f"{_names(file['producers'])} -> {_names(file['consumers'])}")
    return lines + [f"note: {note}" for note in status["notes"]]


def status_dot(status):
    """The running workflow for Graphviz: boxes are steps, ovals are files, red lines are waits."""
    lines = [f"digraph {_quoted(status['workflow'])} {{", "  rankdir=LR;"]
    lines += [f"  {_quoted('step ' + step['name'])} [shape=box, label={_quoted(step['name'] + chr(10) + step['state'])}];" for step in status["steps"]]
    waits = {(waiting["step"], waiting["path"]): waiting["sentence"] for waiting in status["waiting"]}
    for file in status["files"]:
        path, short = _quoted(file["path"]), _short(file["path"], status["capio_dir"])
        label = _quoted(f"{short}\n{'failed' if file['failed'] else _state(file)}, {format_size(file['size'])}")
        lines.append(f"  {path} [label={label}{', color=red' if file['failed'] else ''}];")
        lines += [f"  {_quoted('step ' + name)} -> {path};" for name in file["producers"]]
        for name in file["consumers"]:
            why = waits.get((name, file["path"]))
            lines.append(f"  {path} -> {_quoted('step ' + name)}{f' [color=red, tooltip={_quoted(why)}]' if why else ''};")
    return "\n".join([*lines, "}"])


def _state(file):
    return "complete" if file["is_committed"] else "being written" if file["writers"] else "open" if file["is_born"] else "expected"


def _names(steps):
    return ", ".join(steps) or "nobody"


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)
