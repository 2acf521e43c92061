"""Whether a wait can end, and through whom: pure questions over steps and files. Changes nothing.

A file is *hopeless* when nothing that may still happen commits it. Who may still do something is a parameter (`able`), so that the same
question asked with fewer of them finds steps that wait for each other.
"""

from wrp.capio.language.plan import NO_UPDATE, ON_FILE, ON_TERMINATION
from wrp.capio.rules.waits import BYTES, ENTRIES


class Judge:
    """Looks at the machine's tables. `steps(name)` gives a StepState, `files(path)` a FileState."""

    def __init__(self, steps, files):
        self._steps, self._files = steps, files

    def is_able(self, name):
        """True if a step may still do something: it runs, or hasn't started."""
        return not self._steps(name).is_over

    def is_ready(self, wait, file):
        """True if a declared consumer's wait may end with `Go`, as far as commit and size are concerned, on the file's own node or its copy."""
        if file.is_committed and (file.is_removed or file.is_whole_on(wait.node)):
            return True
        if not file.is_born or file.plan.mode != NO_UPDATE or not file.is_on(wait.node):
            return False
        return wait.what not in (BYTES, ENTRIES) or file.extent_on(wait.node) >= wait.upto

    def is_hopeless(self, wait, file, able=None):
        """True if the wait can never end with `Go`."""
        able = able or self.is_able
        if file.is_committed and (file.is_born or file.is_removed):
            return False                    # only its bytes are on their way
        has_maker = any(map(able, file.plan.producers))
        is_streamed = file.plan.mode == NO_UPDATE
        if not file.is_born:
            return not has_maker or not is_streamed and self.is_lost(file, able)
        if is_streamed and wait.what in (BYTES, ENTRIES):
            return not has_maker and self.is_lost(file, able)
        return self.is_lost(file, able) and not (is_streamed and not file.is_on(wait.node))

    def is_lost(self, file, able=None, trail=()):
        """True if the file can't be committed any more."""
        able = able or self.is_able
        rule = file.plan.commit
        if file.is_committed:
            return False
        if not any(map(able, file.plan.producers)) and not (rule == ON_FILE and file.is_born):
            return True
        if rule == ON_TERMINATION:          # it needs the good end of all that have their hands in it, and some end of the others
            steps = [self._steps(name) for name in file.plan.producers]
            return any(step.has_failed and file.is_touched_by(step.name) or not step.is_over and not able(step.name) for step in steps)
        return rule == ON_FILE and any(dep in trail or self.is_lost(self._files(dep), able, (*trail, file.path)) for dep in file.plan.deps)

    def makers(self, file, trail=()):
        """Names of the steps that can still bring the file, or its commit, about; sorted."""
        found = {name for name in file.plan.producers if self.is_able(name)}
        if file.plan.commit == ON_FILE and file.path not in trail:
            for dep in file.plan.deps:
                if not self._files(dep).is_committed:
                    found |= set(self.makers(self._files(dep), (*trail, file.path)))
        return tuple(sorted(found))

    def culprit(self, file, trail=()):
        """The file that keeps this one from its commit: itself, or the first of those it waits for that is lost."""
        if file.plan.commit == ON_FILE and file.path not in trail and (file.is_born or any(map(self.is_able, file.plan.producers))):
            for dep in file.plan.deps:
                if self.is_lost(self._files(dep)):
                    return self.culprit(self._files(dep), (*trail, file.path))
        return file
