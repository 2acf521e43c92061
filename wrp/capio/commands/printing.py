"""Reports and states as lines for people."""

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
        rows += [(f"{use['step']}  {_short(use['path'], directory)}", use["opens"], format_size(use["bytes_streamed"]), f"{use['waited_s']:.2f} s")
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
    lines += [f"step {step['name']}: {step['state']}, {step['processes']} processes" for step in status["steps"]]
    lines += [f"waiting {status['at'] - waiting['since']:.1f} s: {waiting['sentence']}" for waiting in status["waiting"]] or ["nobody waits"]
    for file in status["files"]:
        state = "failed: " + file["failed"] if file["failed"] else "complete" if file["is_committed"] else "being written" if file["writers"] else \
            "open" if file["is_born"] else "expected"
        lines.append(f"file {_short(file['path'], status['capio_dir'])}: {state}, {format_size(file['size'])}")
    return lines + [f"note: {note}" for note in status["notes"]]
