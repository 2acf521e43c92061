"""What users are told of waits and of their ends: sentences that name the file, who should have written it and how that one ended."""

from wrp.capio.language.plan import ON_CLOSE, ON_FILE, ON_N_FILES
from wrp.capio.rules.waits import BYTES, ENTRIES, OPEN

_WANTED = {OPEN: "opening", BYTES: "reading", ENTRIES: "listing"}


def waiting(wait, file, makers, steps):
    """Why a wait hasn't ended."""
    who = f"step {wait.step!r}" + (f" (process {wait.process})" if wait.process is not None else "")
    if file.is_committed:
        return f"{who} waits for the bytes of {file.path} to come to node {wait.node}: {file.extent_on(wait.node)} of {file.size} are there"
    what = f", byte {wait.upto} of {file.size}" if wait.what == BYTES else ""
    return f"{who} waits in {_WANTED.get(wait.what, wait.what)} {file.path}{what}: {_missing(file)} ({_doing(makers, steps)})"


def failed(file, steps):
    """Why a file can't be committed any more."""
    who = " and ".join(_ended(steps(name)) for name in file.plan.producers)
    state = f"has {file.extent} bytes and isn't committed" if not file.is_directory else f"has {file.extent} entries and isn't committed"
    return f"{file.path} {state if file.is_born else 'was never written'}: {who or 'no step'} {_should(file)}"


def through(file, culprit, steps):
    """As `failed`, of a file that waits for another."""
    return failed(file, steps) if culprit is file else f"{file.path} commits with {culprit.path}, and {failed(culprit, steps)}"


def circle(names, waits):
    """Steps that wait for each other."""
    each = "; ".join(f"{wait.step!r} for {wait.path}" for wait in waits)
    return f"the steps {', '.join(map(repr, names))} wait for each other and none of them can go on: {each}" if len(names) > 1 else \
        f"the step {names[0]!r} waits for what only it could bring about: {each}"


def _missing(file):
    if not file.is_born:
        return "it isn't there yet"
    rule = file.plan.commit
    if rule == ON_CLOSE:
        return f"it is closed {file.closes} of {file.plan.closes} times"
    if rule == ON_N_FILES:
        return f"it has {file.extent} of {file.plan.n_files} entries"
    return f"it commits with {', '.join(file.plan.deps)}" if rule == ON_FILE else "it commits when its step ends"


def _doing(makers, steps):
    if not makers:
        return "nobody can bring it about"
    return ", ".join(f"step {name!r} {'runs' if steps(name).has_started else 'has not started'}" for name in makers)


def _ended(step):
    return f"step {step.name!r} {step.ending}" if step.is_over else f"step {step.name!r} {'runs' if step.has_started else 'has not started'}"


def _should(file):
    rule = file.plan.commit
    if not file.is_born:
        return "and should have written it"
    if rule == ON_CLOSE:
        return f"and closed it {file.closes} of {file.plan.closes} times"
    if rule == ON_N_FILES:
        return f"and should have made {file.plan.n_files} entries"
    return "and should have written it to its end"
