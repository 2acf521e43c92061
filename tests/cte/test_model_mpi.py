"""The store of several ranks against a dict: any order of calls by whichever ranks shows every rank what the dict has. The same steps on all ranks."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import Changed, NoSuchBlob, NoSuchTag

pytestmark = pytest.mark.mpi

TAGS, BLOBS = st.sampled_from(["a", "b/c"]), st.sampled_from(["x", "y", "chunk_10", "z"])
SIZES = st.sampled_from([0, 1, 300, 20_000, 70_000])
NAMED = [(name, st.tuples(TAGS, BLOBS, *more)) for name, more in (
    ("put", (SIZES, st.integers(0, 255))), ("ranged", (SIZES, st.integers(0, 400))), ("append", (SIZES,)), ("truncate", (SIZES,)), ("delete", ()),
    ("score", (st.sampled_from([0.0, 0.25, 1.0]),)), ("copy", (TAGS, BLOBS)), ("rename", (TAGS, BLOBS)), ("many", (SIZES,)), ("packed", (SIZES,)), ("destroy", ()))]
STEPS = st.lists(st.tuples(st.integers(0, 11), st.one_of(*[arguments.map(lambda found, name=name: (name, *found)) for name, arguments in NAMED])), max_size=14)


class Expected(dict):
    """{(tag, blob): bytes} after calls, each of which returns False where it is to be refused."""

    def of(self, tag):
        return {blob: data for (other, blob), data in self.items() if other == tag}

    def apply(self, name, tag, blob, *more):
        key, here = (tag, blob), self.get((tag, blob))
        if name in ("put", "packed"):
            self[key] = data(more[0], more[-1])
        elif name == "many":
            self[key], self[tag, blob + "2"] = data(more[0] or 1, 1), data(more[0] or 1, 2)
        elif name == "append":
            self[key] = (here or b"") + data(more[0], 7)
        elif name == "ranged":
            whole = bytearray(here or b"") + bytes(max(0, more[1] + more[0] - len(here or b"")) if more[0] or here is None else max(0, more[1] - len(here or b"")))
            whole[more[1]:more[1] + more[0]] = data(more[0], 9)
            self[key] = bytes(whole)
        elif here is None and name != "destroy" or name == "destroy" and not self.of(tag):
            return False
        elif name == "truncate":
            self[key] = here[:more[0]] + bytes(max(0, more[0] - len(here)))
        elif name == "delete":
            del self[key]
        elif name == "copy":
            self[more] = here
        elif name == "rename":
            if more in self:
                return False
            self[more] = self.pop(key)
        elif name == "destroy":
            for each in self.of(tag):
                del self[tag, each]
        return True


def data(size, seed):
    return np.random.default_rng(seed).bytes(size)


def call(store, name, tag, blob, *more):
    """The step as a call of the store."""
    {"put": lambda size, seed: store.put(tag, blob, data(size, seed)), "packed": lambda size: store.put(tag, blob, data(size, size), compression="zlib"),
     "ranged": lambda size, offset: store.put(tag, blob, data(size, 9), offset=offset), "append": lambda size: store.append(tag, blob, data(size, 7)),
     "truncate": lambda size: store.truncate(tag, blob, size), "delete": lambda: store.delete(tag, blob), "score": lambda score: store.score(tag, blob, score),
     "many": lambda size: store.put_many(tag, [blob, blob + "2"], [data(size or 1, 1), data(size or 1, 2)]),
     "copy": lambda *to: store.copy(tag, blob, *to), "rename": lambda to, new: store.rename(tag, blob, new, to), "destroy": lambda: store.destroy(tag)}[name](*more)


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_all_ranks_see_what_a_dict_has(kind, shared_folder):
    ranks = world()
    with Store.open(shared_folder if kind == "folder" else None, ranks) as store:
        # the same examples on every rank, whatever it has seen before; a wrong step is one for all
        @settings(derandomize=True, database=None, max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
        @given(STEPS)
        def check(steps):
            expected, wrong = Expected(), ""
            for turn, (rank, step) in enumerate(steps):
                if ranks.rank == rank % ranks.size:
                    wrong = attempted(store, step, Expected(expected))
                expected.apply(*step)
                wrong = told(ranks, wrong)
                assert not wrong, (turn, step, wrong)
            shown = {(tag, blob): store.get(tag, blob) for tag, blob in store.blobs(".*")}
            differs = sorted(shown.keys() ^ expected.keys()) or [key for key in shown if shown[key] != expected[key]]
            differs = told(ranks, f"rank {ranks.rank}: {differs}" if differs else "")
            if kind == "folder":
                store.flush_all()
            if ranks.rank == 0:
                for tag in store.tags():
                    store.destroy(tag)
            ranks.barrier("all is gone")
            assert not differs, differs
        check()


def attempted(store, step, expected):
    """Make the call: what is wrong about its end, or ""."""
    is_right = expected.apply(*step)
    try:
        call(store, *step)
    except (NoSuchBlob, NoSuchTag, Changed) as error:
        # a tag may be there without blobs
        return f"refused: {error}" if is_right else ""
    return "" if is_right or step[0] == "destroy" else "not refused"


def told(ranks, wrong):
    """What any rank found wrong, on all."""
    return next(filter(None, ranks.gather(wrong, "what a step has come to")), "")
