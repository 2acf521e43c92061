"""Query: what can be asked of a node, as text and as the numbers of a task. Pure."""

import difflib
from typing import NamedTuple

from wrp.errors import ConfigError, UsageError
from wrp.runtime.pools import parse_id

WORKERS, SYSTEM, DEVICES, METHODS, HOST, POOL_METHODS, POOL_STATS = 1, 2, 3, 4, 5, 6, 7
_PLAIN = {"worker_stats": WORKERS, "system_stats": SYSTEM, "bdev_stats": DEVICES, "container_stats": METHODS, "get_host_info": HOST}
_OF_POOL = {"stats": POOL_STATS, "container_stats": POOL_METHODS}
_PREFIX = "pool_stats://"
_FORMS = f"{', '.join(_PLAIN)}, system_stats:MIN_EVENT_ID, {_PREFIX}MAJOR.MINOR:{'|'.join(_OF_POOL)}:ROUTE"


class Query(NamedTuple):
    """`kind` and the number that goes with it; `pool`: id of the pool that is asked about, else None, and `selector`: of which of its containers."""

    kind: int
    number: int = 0
    pool: tuple = None
    selector: str = "local"

    @classmethod
    def parse(cls, text):
        """The Query of its text. Raises UsageError, naming the nearest one there is."""
        text = str(text).strip()
        if text.startswith(_PREFIX):
            return cls._of_pool(text)
        name, colon, number = text.partition(":")
        if name not in _PLAIN or colon and (name != "system_stats" or not number.isdigit()):
            raise UsageError(f"there is no query {text!r}; {_near(name, _PLAIN)}give one of {_FORMS}")
        return cls(_PLAIN[name], int(number or 0))

    @classmethod
    def _of_pool(cls, text):
        name, _, rest = text[len(_PREFIX):].partition(":")
        inner, _, selector = rest.partition(":")
        try:
            pool = parse_id(name)
        except ConfigError:
            pool = None
        if pool is None or inner not in _OF_POOL:
            raise UsageError(f"there is no query {text!r}; {_near(inner, _OF_POOL)}give one of {_FORMS}")
        return cls(_OF_POOL[inner], 0, pool, selector or "local")


def _near(name, known):
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? " if close and close[0] != name else ""
