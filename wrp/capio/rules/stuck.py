"""Steps that wait for each other, so that none of them can ever go on: found from the waits and from what the processes do. Changes nothing."""


def stuck_steps(steps, waits, files, judge):
    """Names, sorted, of the largest set of steps in which every process waits for what only this set could bring about."""
    names = {step.name for step in steps if _all_wait(step, waits)}
    while names:
        free = {name for name in names if not _is_held(name, names, waits, files, judge)}
        if not free:
            break
        names -= free
    return sorted(names)


def _all_wait(step, waits):
    """True if every thread of every process of the step waits, or the caller has seen that those which don't wait sleep."""
    if step.is_over or not (own := waits.of_step(step.name)):
        return False
    running = step.parts_started - step.parts_ended
    if step.parts_started < step.parts or sum(parent is None for parent in step.processes.values()) < running and not step.is_stalled:
        return False                    # some of it is still to come
    if step.is_stalled:
        return True
    threads = {}
    for wait in own:
        count, most = threads.get(wait.process, (0, 0))
        threads[wait.process] = count + 1, max(most, wait.threads)
    return bool(step.processes) and all(process in threads and threads[process][0] >= threads[process][1] for process in step.processes)


def _is_held(name, names, waits, files, judge):
    return all(judge.is_hopeless(wait, files(wait.path), lambda other: judge.is_able(other) and other not in names) for wait in waits.of_step(name))
