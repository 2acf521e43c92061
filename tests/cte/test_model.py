"""The store against a dict: any order of calls, flushes and re-openings gives what a dict would."""

import os
import shutil
import tempfile

import numpy as np
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from wrp.cte import Store
from wrp.cte.crypt import Key
from wrp.cte.naming import changing
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, UsageError
from wrp.runtime.config import load

TAGS = st.sampled_from(["a", "b/c", "b/d"])
FOLDERS = st.sampled_from(["a", "b", "e"])
BLOBS = st.sampled_from(["x", "y", "chunk_10"])
DATA = st.builds(lambda seed, size: bytes((seed + 7 * k) % 256 for k in range(size)), st.integers(0, 255), st.integers(0, 300))
PLAIN_OR_NOT = st.sampled_from([None, None, "zlib fast", "none"])
SAME_BYTES = st.builds(lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(0, 3000))
CONFIG = "storage:\n  - {path: 'ram::m', bdev_type: ram, capacity_limit: 4m}\n  - {path: data, bdev_type: file, capacity_limit: 16m}\n"


class StoreModel(RuleBasedStateMachine):
    """`now` is what the store should show: {name of a tag: its blobs}; names of the same tag have the same dict."""

    @initialize()
    def begin(self):
        self.root = tempfile.mkdtemp()
        with open(os.path.join(self.root, "conf.yaml"), "w", encoding="utf-8") as file:
            file.write(self.configuration)
        self.config = load(os.path.join(self.root, "conf.yaml"))
        self.now = {}
        self.unused, changing._UNUSED = changing._UNUSED, 1         # names of destroyed tags are used again soon
        self.open()

    key = None
    configuration = CONFIG

    def open(self):
        self.store = Store.open(os.path.join(self.root, "store"), config=self.config, key=self.key)

    @rule(tag=TAGS, blob=BLOBS, data=DATA | SAME_BYTES, compression=PLAIN_OR_NOT)
    def put(self, tag, blob, data, compression):
        self.store.put(tag, blob, data, compression=compression)
        self.now.setdefault(tag, {})[blob] = data

    @rule(tag=TAGS, compression=PLAIN_OR_NOT)
    def set_compression(self, tag, compression):
        self.store.set_compression(tag, compression or "none")

    @rule(tag=TAGS, blob=BLOBS, data=DATA, offset=st.integers(0, 400), compression=PLAIN_OR_NOT)
    def put_range(self, tag, blob, data, offset, compression):
        self.store.put(tag, blob, data, offset=offset, compression=compression)
        old = self.now.setdefault(tag, {}).get(blob, b"").ljust(offset, b"\0")
        self.now[tag][blob] = old[:offset] + data + old[offset + len(data):]

    @rule(tag=TAGS, blob=BLOBS, segments=st.lists(st.tuples(st.integers(0, 400), DATA), min_size=1, max_size=4))
    def put_segments(self, tag, blob, segments):
        self.store.put_segments(tag, blob, segments)
        whole = self.now.setdefault(tag, {}).get(blob, b"")
        for offset, data in segments:
            whole = whole.ljust(offset, b"\0")
            whole = whole[:offset] + data + whole[offset + len(data):]
        self.now[tag][blob] = whole
        ranges = [(offset, len(data)) for offset, data in segments]
        assert self.store.get_segments(tag, blob, ranges) == [whole[offset:offset + size] for offset, size in ranges]

    @rule(tag=TAGS, blob=BLOBS)
    def delete(self, tag, blob):
        try:
            self.store.delete(tag, blob)
            del self.now[tag][blob]
        except (NoSuchBlob, NoSuchTag):
            assert blob not in self.now.get(tag, {})

    @rule(tag=TAGS)
    def destroy(self, tag):
        try:
            self.store.destroy(tag)
            del self.now[tag]
        except NoSuchTag:
            assert tag not in self.now

    @rule(tag=TAGS, first=DATA, second=DATA, fails=st.booleans(), replace=st.booleans())
    def batch(self, tag, first, second, fails, replace):
        try:
            with self.store.batch("a batch") as batch:
                if replace:
                    batch.replace(tag)
                with batch.writing(tag, "x", len(first)) as buffer:
                    buffer[:] = first
                batch.put(tag, "batched", second)
                if fails:
                    raise ZeroDivisionError
        except Exception:
            assert fails
            return
        blobs = self.now.setdefault(tag, {})
        if replace:
            blobs.clear()
        blobs.update(x=first, batched=second)

    @rule(tag=TAGS, data=DATA)
    def put_many(self, tag, data):
        rows = np.frombuffer(data * 2, "u1").reshape(2, -1) if data else [b"", b""]
        self.store.put_many(tag, ["x", "chunk_10"], rows)
        self.now.setdefault(tag, {}).update({"x": data, "chunk_10": data})

    @rule(tag=TAGS, blob=BLOBS, data=DATA)
    def append(self, tag, blob, data):
        self.store.append(tag, blob, data)
        blobs = self.now.setdefault(tag, {})
        blobs[blob] = blobs.get(blob, b"") + data

    @rule(tag=TAGS, blob=BLOBS, nbytes=st.integers(0, 400))
    def truncate(self, tag, blob, nbytes):
        if blob in self.now.get(tag, {}):
            self.store.truncate(tag, blob, nbytes)
            self.now[tag][blob] = self.now[tag][blob][:nbytes].ljust(nbytes, b"\0")

    @rule(tag=TAGS, blob=BLOBS, data=DATA, commits=st.booleans())
    def reserve(self, tag, blob, data, commits):
        place = self.store.reserve(tag, blob, len(data))
        place.view[:] = data
        if commits:
            place.commit()
            self.now.setdefault(tag, {})[blob] = data
        else:
            place.abandon()

    @rule(tag=TAGS, blob=BLOBS, new_tag=TAGS, new_blob=BLOBS, replace=st.booleans())
    def rename(self, tag, blob, new_tag, new_blob, replace):
        try:
            self.store.rename(tag, blob, new_blob, new_tag, replace)
            self.now.setdefault(new_tag, {})[new_blob] = self.now[tag].pop(blob)
        except (NoSuchBlob, NoSuchTag):
            assert blob not in self.now.get(tag, {})
        except Changed:
            assert new_blob in self.now[new_tag] and (not replace or blob == new_blob and self.now[tag] == self.now[new_tag])
        except UsageError:
            assert self.key is not None         # sealed under its name

    @rule(tag=TAGS, new_tag=TAGS, keeps=st.booleans())
    def rename_or_copy_tag(self, tag, new_tag, keeps):
        try:
            (self.store.snapshot if keeps else self.store.rename_tag)(tag, new_tag)
            self.now[new_tag] = dict(self.now[tag]) if keeps else self.now.pop(tag)
        except NoSuchTag:
            assert tag not in self.now
        except Changed:
            assert new_tag in self.now
        except UsageError:
            assert self.key is not None and keeps

    @rule(tag=TAGS, name=TAGS)
    def alias(self, tag, name):
        try:
            self.store.alias(tag, name)
            self.now[name] = self.now[tag]
        except NoSuchTag:
            assert tag not in self.now
        except Changed:
            assert self.now[name] is not self.now[tag]
        assert {other for other in self.now if self.now[other] is self.now.get(tag)} == set(self.store.aliases(tag) if tag in self.now else ())

    @rule(folder=FOLDERS, new_folder=FOLDERS)
    def rename_folder(self, folder, new_folder):
        inside = [name for name in self.now if name == folder or name.startswith(folder + "/")]
        moved = {name: new_folder + name[len(folder):] for name in inside}
        try:
            self.store.rename_folder(folder, new_folder)
            assert inside
            blobs = {name: self.now.pop(name) for name in inside}
            self.now.update((moved[name], blobs[name]) for name in inside)
        except NoSuchTag:
            assert not inside
        except Changed:
            assert set(moved.values()) & set(self.now)

    @rule(folder=FOLDERS)
    def destroy_folder(self, folder):
        inside = [name for name in self.now if name == folder or name.startswith(folder + "/")]
        try:
            self.store.destroy(folder, recursive=True)
            assert inside
        except NoSuchTag:
            assert not inside
        for name in inside:
            del self.now[name]

    @rule(tag=TAGS, blob=BLOBS, tier=st.sampled_from(["ram", "file"]))
    def move(self, tag, blob, tier):
        if blob in self.now.get(tag, {}):
            self.store.move(tag, blob, tier)

    @rule(tag=TAGS, blob=BLOBS, score=st.floats(0, 1))
    def score(self, tag, blob, score):
        if blob in self.now.get(tag, {}):
            assert self.store.score(tag, blob, score) == score

    @rule(tag=TAGS, blob=BLOBS, data=DATA, right=st.booleans())
    def put_if(self, tag, blob, data, right):
        there = blob in self.now.get(tag, {})
        generation = (self.store.info(tag, blob).stamp if there else 0) + (not right)
        try:
            self.store.put(tag, blob, data, if_generation=generation)
            assert right
            self.now.setdefault(tag, {})[blob] = data
        except Changed:
            assert not right

    @rule()
    def flush(self):
        self.store.flush()

    @rule()
    def reopen(self):
        self.store.close()
        self.open()

    @invariant()
    def same(self):
        if not hasattr(self, "store"):
            return
        assert self.store.tags() == sorted(self.now)
        shown = {tag: {blob: self.store.get(tag, blob) for blob in self.store.infos(tag)} for tag in self.now}
        assert shown == self.now
        assert {tag: self.store.tag_size(tag) for tag in self.now} == {tag: sum(map(len, blobs.values())) for tag, blobs in self.now.items()}

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.root)
            changing._UNUSED = self.unused


class ThreeTargets(StoreModel):
    """The same with two rams and a file, among which blobs are dealt out."""

    configuration = ("storage:\n  - {path: 'ram::a', bdev_type: ram, capacity_limit: 4m}\n  - {path: 'ram::b', bdev_type: ram, capacity_limit: 4m}\n"
                     "  - {path: data, bdev_type: file, capacity_limit: 16m}\ndpe: {dpe_type: round_robin}\n")

    @rule(tag=TAGS, blob=BLOBS, where=st.sampled_from(["ram::a", "ram::b", "file"]))
    def move_between(self, tag, blob, where):
        if blob in self.now.get(tag, {}):
            self.store.move(tag, blob, where)


class EncryptedStoreModel(StoreModel):
    """The same in an encrypted store."""

    key = Key(bytes(range(32)), "the test")


TestModel = StoreModel.TestCase
TestModel.settings = settings(max_examples=int(os.environ.get("WRP_EXAMPLES", 12)), stateful_step_count=25, deadline=None,
                              suppress_health_check=list(HealthCheck))
TestEncryptedModel = EncryptedStoreModel.TestCase
TestEncryptedModel.settings = settings(TestModel.settings, max_examples=int(os.environ.get("WRP_EXAMPLES", 6)))
TestThreeTargets = ThreeTargets.TestCase
TestThreeTargets.settings = settings(TestModel.settings, max_examples=int(os.environ.get("WRP_EXAMPLES", 6)))
