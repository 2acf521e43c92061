"""What the language says of one path, all its rules applied: `FilePlan`. Finds nothing by itself."""

from dataclasses import dataclass, field

ON_CLOSE, ON_FILE, ON_N_FILES, ON_TERMINATION = "on_close", "on_file", "on_n_files", "on_termination"
UPDATE, NO_UPDATE = "update", "no_update"
MEMORY, FILE_SYSTEM = "memory", "fs"


@dataclass(frozen=True, slots=True)
class Home:
    """The node where a file's bytes live: policy "create" (where it is made), "hashing" or "manual" (where step `app` runs)."""

    policy: str = "create"
    app: str = ""


@dataclass(slots=True, unsafe_hash=True)        # nobody changes it; made for every file, and a frozen one takes three times as long
class FilePlan:
    """What holds for one path. `closes` counts for on_close, `deps` (absolute paths) for on_file, `n_files` for on_n_files.

    `origins`: for each property that a rule of the file has set, {property: (its pattern, JSON path)}; absent ones are defaults.
    """

    path: str
    is_directory: bool = False
    commit: str = ON_TERMINATION
    closes: int = 1
    deps: tuple = ()
    n_files: int = 0
    mode: str = UPDATE
    permanent: bool = False
    excluded: bool = False
    storage: str = FILE_SYSTEM
    home: Home = Home()
    producers: tuple = ()
    consumers: tuple = ()
    origins: dict = field(default_factory=dict, compare=False, repr=False)

    @property
    def waits(self):
        """True if a consumer of this path may ever have to wait: somebody makes it, somebody reads it, nothing excludes it."""
        return bool(self.producers and self.consumers) and not self.excluded

    @property
    def commit_text(self):
        """The commit rule as the language writes it, e.g. "on_close:3"."""
        return f"{ON_CLOSE}:{self.closes}" if self.commit == ON_CLOSE and self.closes > 1 else self.commit
