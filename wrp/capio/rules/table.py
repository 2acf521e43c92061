"""The table of files of a running workflow, by path: lives that begin, move and end. Answers no waiter and fires no rule."""

from wrp.capio.rules.files import FileState


class Files:
    """FileStates by path and by open file description."""

    def __init__(self, workflow):
        self._workflow = workflow
        self._states = {}
        self._open = {}                 # description -> (FileState, step)
        self._dependents = {}           # path -> paths that commit with it

    def get(self, path, is_directory=None):
        """The FileState of a path, made if nothing was known of it. `is_directory`: what it is, where that is known."""
        state = self._states.get(path)
        return self._make(path, is_directory) if state is None else state

    def find(self, path):
        """The FileState, or None."""
        return self._states.get(path)

    def folder(self, path):
        """The FileState of the folder that holds this path, if its entries or closes matter, else None."""
        above = path.rpartition("/")[0]
        state = self._states.get(above)
        if state is None:
            plan = self._workflow.look(above, True) if above else None
            if plan is None or plan.excluded or not (plan.producers or plan.consumers):
                return None
            state = self.get(above)
        if not state.is_directory:
            self.turn(state, True)
        return state

    def turn(self, state, is_directory):
        """It has become known what this is; its plan may be another then."""
        state.is_directory = is_directory
        self._plan(state, state.path, is_directory)

    def open(self, description, state, step):
        """A description writes to the file."""
        state.writers.add(description)
        state.wrote.add(step)
        self._open[description] = state, step

    def close(self, description):
        """(FileState, step) of a description that is gone, or None."""
        found = self._open.pop(description, None)
        if found is not None:
            found[0].writers.discard(description)
            self.forget_undeclared(found[0])
        return found

    def forget_undeclared(self, state):
        """Nothing need be known of a file that nobody declares and nobody writes."""
        if not state.is_declared and not state.writers and self._states.get(state.path) is state:
            del self._states[state.path]

    def remove(self, path):
        """The name is gone. What was committed stays so, for files that wait for it. Returns the state that the path had, or None."""
        state = self._states.pop(path, None)
        if state is not None and state.is_declared:
            left = self.get(path)
            left.is_committed = left.is_removed = state.is_committed
            left.closes = state.closes if state.is_committed else 0
        return state

    def move(self, source, path, step):
        """The file at `source`, or one that nobody told of, is called `path` now. Returns its state under the new name."""
        state = self.remove(source) if source else None
        old = self._states.pop(path, None)
        if state is None or state.is_removed:
            state = FileState(path, self._workflow.look(path))
        state.path = path
        self._states[path] = state
        self._plan(state, path, state.is_directory or None)
        if step in state.plan.producers and not state.writers:
            state.closes = max(state.closes, 1)         # a name that its producer gives to a whole file is a close
        if old is not None:
            state.closes += old.closes
            state.is_committed, state.is_removed = old.is_committed, old.is_removed
        else:
            state.is_committed = False
        return state

    def below(self, folder):
        """Paths of all files below a folder."""
        return [path for path in self._states if path.startswith(folder + "/")]

    def dependents(self, path):
        """FileStates that commit with this path."""
        return [self._states[name] for name in self._dependents.get(path, ()) if name in self._states]

    def __iter__(self):
        return iter(list(self._states.values()))

    def _make(self, path, is_directory=None):
        state = self._states[path] = FileState(path, self._workflow.look(path, is_directory))
        self._note_deps(state)
        return state

    def _plan(self, state, path, is_directory):
        state.plan = self._workflow.look(path, is_directory)
        state.is_directory = state.plan.is_directory
        self._note_deps(state)

    def _note_deps(self, state):
        for dep in state.plan.deps:
            self._dependents.setdefault(dep, set()).add(state.path)
