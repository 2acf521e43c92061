"""A walk of random changes of a few blobs, and looks at them, that several may take at once: what a view shows never changes while somebody has it."""

import random

import numpy as np

from wrp.comm.checksum import crc32
from wrp.errors import NoSuchBlob, NoSuchTag, OutOfSpace

SIZES = [1, 700, 4096, 16 << 10, 50_000, 300_000, 5 << 20]
BLOBS = [f"b{number}" for number in range(6)]
_MOST = 40                      # views that are kept


def wander(store, seed, count, longest=SIZES[-1]):
    """(how many views were looked at again, what was wrong with some), after so many changes."""
    chance, views, wrong, seen = random.Random(seed), [], [], 0
    for _ in range(count):
        try:
            _change(store, chance, longest)
        except (NoSuchBlob, NoSuchTag):
            pass
        except OutOfSpace:
            views.clear()
        wrong += _look(store, chance, views)
        if len(views) > _MOST or chance.random() < 0.02:
            chance.shuffle(views)
            kept = chance.randrange(len(views) + 1)
            wrong += _changed(views[kept:])
            seen += len(views) - kept
            del views[kept:]
    return seen + len(views), wrong + _changed(views)


def _changed(views):
    return [f"the view of {blob} is another one" for blob, view, checksum in views if crc32(view) != checksum]


def _change(store, chance, longest):
    """One change of one blob or two, all of whose bytes are one, or zeros behind that; most are puts."""
    blob, kind, nbytes = chance.choice(BLOBS), chance.random(), chance.choice([size for size in SIZES if size <= longest])
    data = np.full(nbytes, chance.randrange(1, 256), np.uint8)
    if kind < 0.7:
        store.put("t", blob, data)
    elif kind < 0.8:
        store.put_many("t", [blob, chance.choice(BLOBS)], np.stack([data, data]))
    elif kind < 0.85:
        store.delete("t", blob)
    elif kind < 0.9:
        store.append("t", blob, bytes(len(data) % 1000))
    elif kind < 0.93:
        store.truncate("t", blob, 500)
    elif kind < 0.97:
        store.score("t", blob, chance.random())
    else:
        store.flush()


def _look(store, chance, views):
    """Keep a view of some blob, and its checksum: [what is wrong with it], as a list of one or none."""
    blob = chance.choice(BLOBS)
    try:
        view = store.view("t", blob)
    except (NoSuchBlob, NoSuchTag):
        return []
    views.append((blob, view, crc32(view)))
    shown = np.frombuffer(view, np.uint8)
    return [f"the view of {blob} shows two puts"] if ((shown != shown[:1]) & (shown != 0)).any() else []
