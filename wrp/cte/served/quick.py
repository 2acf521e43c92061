"""What a daemon's worker answers by itself, since nothing of it waits: looks at the catalog, short blobs in ram. All else goes to a thread."""

from wrp.cte.store import Store

LATER = object()                # of a call that needs a thread
LONGEST = 96 << 10              # bytes of a blob, and of a question


def table(store):
    """{call: function}; empty where blobs have homes on several nodes: then a look may ask another one."""
    if type(store) is not Store or store._direct is None:
        return {}
    found = _Quick(store)
    return {"put": found.put, "get": found.get, **{name: getattr(store, name) for name in ("exists", "size", "info", "tag_stamp")}}


class _Quick:
    """store: of one node. Where it can't be done at once, or not at all, nothing has happened."""

    def __init__(self, store):
        self._store = store

    def put(self, tag, blob, data, **options):
        store = self._store
        store._writable()
        if options.keys() - {"score"} or store._parts.framing is not None:
            return LATER
        score = options.get("score", 1.0)
        done = type(score) is float and 0 <= score <= 1 and store._direct.put(store._own(tag), blob, data, score)
        return None if done else LATER

    def get(self, tag, blob, offset=0, size=None):
        store = self._store
        tag = store._own(tag)
        record = store._record(tag, blob)
        if record.raw or record.size > LONGEST or offset or size not in (None, record.size):
            return LATER
        found = store._direct.get(tag, blob)
        return LATER if found is None or size is not None and len(found) != size else found
