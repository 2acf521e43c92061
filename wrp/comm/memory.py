"""How much memory this process may still take: what Linux has and what the batch system's control groups leave."""
from pathlib import Path

from wrp.comm.refusals import is_handlers

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


def available():
    """Free bytes (int) before Linux ends a process of this job for want of memory; None where that can't be known."""
    found = [number for number in (_of_machine(), _of_groups()) if number is not None]
    return max(0, min(found)) if found else None


def total():
    """Bytes (int) of the machine's memory; None where that can't be known."""
    try:
        fields = dict(line.split(":") for line in (_PROC / "meminfo").read_text().splitlines())
        return int(fields["MemTotal"].split()[0]) * 1024
    except (OSError, KeyError, ValueError) as error:
        if is_handlers(error):
            raise
        return None


def _of_machine():
    try:
        fields = dict(line.split(":") for line in (_PROC / "meminfo").read_text().splitlines())
        return sum(int(fields[name].split()[0]) for name in ("MemAvailable", "SwapFree")) * 1024
    except (OSError, KeyError, ValueError) as error:
        if is_handlers(error):
            raise
        return None                         # not Linux


def _of_groups():
    """The least that this process's control group or one above it leaves, None without a limit."""
    try:
        lines = (_PROC / "self/cgroup").read_text().splitlines()
    except OSError as error:
        if is_handlers(error):
            raise
        return None
    rests = [_rest(folder, files) for line in lines for folder, files in _folders(line)]
    return min((rest for rest in rests if rest is not None), default=None)


# the files of both versions of control groups: limit, bytes in use, counts of cached files
_VERSION_2 = "memory.max", "memory.current", ("inactive_file", "active_file")
_VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")


def _folders(line):
    """(folder, files) of the group in a line "number:controllers:path" and of those above it, if it limits memory."""
    _, controllers, path = line.split(":", 2)
    if controllers and "memory" not in controllers.split(","):
        return []
    top = _GROUPS / "memory" if controllers else _GROUPS
    group = top / path.lstrip("/")
    files = _VERSION_1 if controllers else _VERSION_2
    return [(folder, files) for folder in (group, *group.parents) if folder.is_relative_to(top)]


def _rest(folder, files):
    limit_file, used_file, cached_names = files
    try:
        limit = (folder / limit_file).read_text().strip()
        if limit == "max":
            return None
        used = int((folder / used_file).read_text())
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # cached files count as used but go when memory is short; shared memory is not among them
        return int(limit) - used + sum(int(counts[name]) for name in cached_names)
    except (OSError, KeyError, ValueError) as error:
        if is_handlers(error):
            raise
        return None                         # the topmost group has no limit
