"""A workload of one process on a store, made from a seed, and the model of what a store may hold after it was cut off anywhere.

Nothing is logged but numbers: whoever knows the seed knows every operation.
"""

import os
import random
from dataclasses import dataclass

from wrp.cte import edits
from wrp.errors import NoSuchBlob, NoSuchTag
from wrp.runtime.config import load

TAGS, BLOBS = ("a", "b/c"), ("x", "y", "z")
LARGEST, FILLING = 200_000, 70_000
CONFIG = """
storage:
  - {path: "ram::proof", bdev_type: ram, capacity_limit: %s}
  - {path: data, bdev_type: file, capacity_limit: 24m}
%sperformance: {transaction_log_capacity: 1k}
"""
_MORE = "  - {path: more, bdev_type: file, capacity_limit: 24m}\n"
_KINDS = ("put", "put", "put", "fill", "get", "range", "delete", "destroy", "flush", "flush", "batch", "batch", "move", "rename", "rename", "rename", "reopen")


@dataclass(frozen=True)
class Operation:
    """number: of the operation; kind; tag, blob: of the blob it changes; seed: of its bytes."""

    number: int
    kind: str
    tag: str
    blob: str
    seed: int

    @property
    def data(self):
        """Bytes that say which operation wrote them."""
        made = random.Random(self.seed)
        head = b"%s/%s/%d;" % (self.tag.encode(), self.blob.encode(), self.number)
        return head + bytes([made.randrange(256)]) * made.choice((0, 5, 300, 5_000, 70_000, LARGEST))

    @property
    def filling(self):
        """Bytes of which the smallest ram has room for one blob alone: the last of three in a row goes to the file by a way of its own."""
        return self.data[:200].ljust(FILLING, b"%d" % (self.seed % 10))

    @property
    def target(self):
        """(tag, blob) that it renames its blob to."""
        made = random.Random(self.seed + 2)
        return made.choice([(tag, blob) for tag in TAGS for blob in BLOBS if (tag, blob) != (self.tag, self.blob)])

    @property
    def offset(self):
        return random.Random(self.seed + 1).choice((0, 3, 4_000, 90_000))


class Configured:
    """The configurations of workloads, below `root`: with one data file, with two, between which blobs move, or with hardly any ram. Which, says the seed.

    Where one was asked for, blobs of 4 KiB are long enough to be renamed by an entry of the journal.
    """

    def __init__(self, root):
        self._paths = []
        for number, sizes in enumerate((("2m", ""), ("2m", _MORE), ("128k", ""))):
            self._paths.append(os.path.join(root, f"conf-{number}.yaml"))
            with open(self._paths[-1], "w", encoding="utf-8") as file:
                file.write(CONFIG % sizes)

    def of(self, seed):
        edits._LONG = 4096
        return load(self._paths[seed % 3])


def operations(seed, count):
    """The first `count` operations of the workload of a seed."""
    made = random.Random(seed)
    return [Operation(number, made.choice(_KINDS), made.choice(TAGS), made.choice(BLOBS), made.randrange(1 << 30)) for number in range(count)]


def ranged(old, data, offset):
    """What a blob is after `data` was put at an offset."""
    before = (old or b"").ljust(offset, b"\0")
    return before[:offset] + data + before[offset + len(data):]


def run(store, operation):
    """Do one operation other than `reopen`. Raises what the store raises, less what it has to when a name isn't there."""
    tag, blob = operation.tag, operation.blob
    try:
        if operation.kind == "put":
            store.put(tag, blob, operation.data)
        elif operation.kind == "fill":
            for name in BLOBS:
                store.put(tag, name, operation.filling)
        elif operation.kind == "get":
            store.get(tag, blob)
        elif operation.kind == "range":
            store.put(tag, blob, operation.data, offset=operation.offset)
        elif operation.kind == "delete":
            store.delete(tag, blob)
        elif operation.kind == "destroy":
            store.destroy(tag)
        elif operation.kind == "flush":
            store.flush()
        elif operation.kind == "move":
            places = ["ram", "file", *(target.name for target in store.targets() if target.name in ("data", "more"))]
            store.move(tag, blob, places[operation.seed % len(places)])
        elif operation.kind == "rename":
            new_tag, new_blob = operation.target
            store.rename(tag, blob, new_blob, new_tag, replace=True)
        elif operation.kind == "batch":
            with store.batch(f"batch {operation.number}") as batch:
                for name in BLOBS:
                    batch.put(tag, name, operation.data)
    except (NoSuchBlob, NoSuchTag):
        if operation.kind not in ("get", "delete", "destroy", "move", "rename"):
            raise


class Model:
    """Per blob, every value that a store opened after a crash may show; None: it isn't there."""

    def __init__(self):
        self.now = {(tag, blob): None for tag in TAGS for blob in BLOBS}
        self.allowed = {name: [None] for name in self.now}
        self.unsure = None              # a batch of which nobody knows whether it happened
        self.renamed = {}               # old name -> (new name, value) of durable blobs that nothing has changed since

    def begun(self, operation):
        """The operation may have any part of its effect from now on."""
        effect, name = self._effect(operation), (operation.tag, operation.blob)
        self.renamed = {old: (new, value) for old, (new, value) in self.renamed.items() if old not in effect and new not in effect}
        if operation.kind == "rename" and effect and self.allowed[name] == [self.now[name]]:
            self.renamed[name] = operation.target, self.now[name]
        for name, value in effect.items():
            self.allowed[name].append(value)
        self.unsure = operation if operation.kind == "batch" else None

    def ended(self, operation):
        """It came to its end: what it promises holds."""
        effect = self._effect(operation)
        self.now.update(effect)
        self.unsure = None
        if operation.kind in ("flush", "reopen"):
            self.allowed, self.renamed = {name: [value] for name, value in self.now.items()}, {}
        elif operation.kind == "batch":
            self.allowed.update({name: [value] for name, value in effect.items()})

    def seen(self, found):
        """Something was refused, or the store was opened anew: what it shows now is one of the states that may be."""
        self.check(found)
        self.now = dict(found)
        self.unsure, self.renamed = None, {}

    def check(self, found):
        """AssertionError unless `found`, {(tag, blob): bytes or None}, is a state that may follow."""
        for name, value in found.items():
            assert value in self.allowed[name], f"{name} holds {_short(value)}, allowed: {[_short(one) for one in self.allowed[name]]}"
        for old, (new, value) in self.renamed.items():
            assert value in (found[old], found[new]), f"{old} became {new}, and is lost"
        if self.unsure is not None:
            effect = self._effect(self.unsure)
            happened = {found[name] == value for name, value in effect.items() if self.allowed[name][:-1].count(value) == 0}
            assert len(happened) < 2, f"half of batch {self.unsure.number} is there"

    def _effect(self, operation):
        """{name: value} that the operation changes."""
        tag, name = operation.tag, (operation.tag, operation.blob)
        if operation.kind == "put":
            return {name: operation.data}
        if operation.kind == "fill":
            return {(tag, blob): operation.filling for blob in BLOBS}
        if operation.kind == "range":
            return {name: ranged(self.now[name], operation.data, operation.offset)}
        if operation.kind == "delete":
            return {name: None}
        if operation.kind == "destroy":
            return {(tag, blob): None for blob in BLOBS}
        if operation.kind == "rename" and self.now[name] is not None:
            return {name: None, operation.target: self.now[name]}
        if operation.kind == "batch":
            return {(tag, blob): operation.data for blob in BLOBS}
        return {}


def content(store):
    """{(tag, blob): bytes or None} of an open store; Corrupt when a blob's bytes aren't what was put."""
    return {(tag, blob): store.get(tag, blob) if store.exists(tag, blob) else None for tag in TAGS for blob in BLOBS}


def _short(value):
    return None if value is None else f"{len(value)} bytes {value[:24]!r}"
