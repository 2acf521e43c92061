"""Arguments that can't be, by the names of parameters, for every public call of what is made of a store; what a call does with one of them."""

import inspect

import numpy as np

from wrp.errors import WrpError

NAN, MORE = float("nan"), 1 << 63
_NO_TEXT = [[], 5, b"x", {}, np.zeros(40), object()]
_NO_WHOLE = [1.5, "x", [], NAN, b"1"]
_ODD_WHOLE = [-1, MORE, -MORE, 1 << 70]

# what an argument may be; what is refused; what is taken or refused, but never with an error of Python's own
_NAME = _NO_TEXT + [None], ["\ud800", "", "x" * 5000, "a\0b", "a\uffffb"]
_ID = [*_NO_TEXT, None, (1,), (1, []), ("a", "b"), (1.5, 2)], ["\ud800", "", "x" * 5000, "a\0b", (1, 2), (-1, 1 << 70)]
_TEXT = _NO_TEXT + [None], ["\ud800", "", "x" * 5000, "a\0b"]
_SCORE = [np.array(.5), np.array([.5, .6]), [], NAN, 2.0, -.5, "x", None], []
_WHOLE = [*_NO_WHOLE, None], _ODD_WHOLE
_MAYBE_WHOLE = _NO_WHOLE, _ODD_WHOLE
_TIME = ["x", [], NAN, b"1"], [1.5, *_ODD_WHOLE]
_DATA = [None, 5, [1], "text", np.array([None])], []
_NAMES = [None, 5, [5], ["\ud800"], [None], [[]], {"a": 1}, "b", b"b"], []
_ROWS = [None, 5, [5], ["text"], [None], b"b", memoryview(np.zeros((1, 2)))], []
_PAIRS = [None, 5, [None], [(0,)], [()], "ab", [("x", b"a")], [(-1, b"a")], [(1.5, b"a")], {0: b"a"}]
_PATTERN = [None, 5, "(", b"x", []], ["\ud800"]
_OUT = [5, "x", b"abc", [], np.array([None])], [np.zeros((2, 2)).T]
_SHAPE = ["x", 1.5, [None]], [-1, (2, -1), (1 << 70,)]
_ANY = [], [None, 5, [], "\ud800", b"x", NAN, {}, object()]

KINDS = {
    **dict.fromkeys(("tag", "source"), ("t", *_NAME)), **dict.fromkeys(("blob", "blob_name"), ("b", *_NAME)),
    **dict.fromkeys(("new_tag", "new_blob", "new_name", "new_blob_name", "alias_name", "new_folder"), ("new", *_NAME)), "tag_name": ("t", *_NAME), "folder": ("f", *_TEXT),
    "name": ("more", *_NAME), "tag_id": ("t", *_ID), "new_tag_id": ("t", *_ID), "score": (.5, *_SCORE), "new_score": (.5, *_SCORE),
    **dict.fromkeys(("nbytes", "capacity", "total_size"), (5000, *_WHOLE)), **dict.fromkeys(("offset", "off", "fd"), (0, *_WHOLE)), "size": (1, *_MAYBE_WHOLE),
    "data_size": (1, *_MAYBE_WHOLE), "query_text": ("word", *_TEXT), **dict.fromkeys(("k", "max_entries", "time_begin", "time_end", "max_inflight_bytes"), (0, *_WHOLE)),
    **dict.fromkeys(("limit", "max_blobs", "max_tags", "minimum", "minimum_logical_time", "number", "flags"), (0, *_WHOLE)), "generation": (0, *_WHOLE),
    "if_generation": (None, *_MAYBE_WHOLE), "node": (None, *_ANY), "budget": (1 << 20, *_WHOLE), "since": (0, *_TIME), "until": (None, *_TIME), "timeout_s": (.01, *_TIME),
    "data": (b"abc", *_DATA), "rows": ([b"abc"], *_ROWS), "blobs": (["b"], *_NAMES), "blob_names": (["b"], *_NAMES), "sizes": ([1], [None, 5, [1.5], [-1], "x"], []),
    "segments": ([(0, b"a")], [*_PAIRS, [(0, None)], []], [[(1 << 70, b"a")]]), "ranges": ([(0, 1)], [*_PAIRS, [(0, -1)], [(0, 1 << 70)]], []),
    **dict.fromkeys(("pattern", "tag_regex", "blob_regex", "tag_pattern", "blob_pattern"), (".*", *_PATTERN)), "prefix": ("", *_TEXT), "question": ("word", *_TEXT),
    "out": (bytearray(1), *_OUT), "dtype": ("u1", [5, "nonsense", object()], [[]]), "shape": (3, *_SHAPE), "context": (None, [5, "x"], []), **dict.fromkeys(("recursive", "replace"), (False, [], [])),
    **dict.fromkeys(("target", "target_name"), ("ram::test", [5, [], "\ud800", b"x", NAN, {}], ["file", "", None])), "min_persistence": ("volatile", *_ANY), "compression": ("zlib", *_ANY),
    **dict.fromkeys(("kind", "bdev_type"), ("ram", *_ANY)), "persistence": (None, *_ANY), "label": ("l", *_ANY), "member": (0, *_ANY), "path": (None, *_ANY), "tick": (None, [], []),
    **dict.fromkeys(("query", "pool_query", "target_query"), ("local", *_ANY)), "bdev_id": (None, *_ANY), "target_persistence_level": (1, *_ANY),
    "period_us": (0, *_ANY), "period_ms": (0, *_ANY), "node": (0, *_MAYBE_WHOLE),
}
_GIVEN = ("score", "new_score", "dtype")        # also where they have a default
_UNUSED = {("get_blob", "flags"), ("register_target", "total_size")}          # the second: of a target that is there


def wrong_calls(thing, leave=()):
    """Yield (label, function, arguments, whether it must be refused) for every public call of a thing, one argument wrong at a time."""
    for name, call in inspect.getmembers(thing, callable):
        if not name.startswith("_") and name not in leave:
            yield from wrong_calls_of(call, f"{type(thing).__name__}.{name}")


def wrong_calls_of(call, label=None, **right):
    """The same of one call; `right`: arguments that are meant so where they aren't the wrong one."""
    label = label or call.__name__
    parameters = [each for each in inspect.signature(call).parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    plain = {each.name: KINDS[each.name][0] for each in parameters if each.name not in right and (each.default is each.empty or each.name in _GIVEN)} | right
    for each in parameters:
        if each.name not in KINDS and each.name in right:
            continue
        _, refused, odd = KINDS[each.name]
        for wrong, must in [(one, True) for one in refused] + [(one, False) for one in odd]:
            if wrong is not each.default:
                yield f"{label}({each.name}={wrong!r:.30})", call, {**plain, each.name: wrong}, must and (call.__name__, each.name) not in _UNUSED


def trouble_of(label, call, arguments, must):
    """What is wrong with how a call takes them, or None."""
    try:
        found = call(**arguments)
        if hasattr(found, "result"):
            found = found.result()
        if hasattr(found, "abandon") or hasattr(found, "close") or not hasattr(found, "__enter__"):
            getattr(found, "abandon", getattr(found, "close", int))()
        else:
            with found:
                pass
    except WrpError as error:
        return f"{label}: {error!r} is no sentence" if type(error) is WrpError or len(str(error).splitlines()) != 1 else None
    except Exception as error:
        return f"{label}: {error!r:.120}"
    return f"{label}: taken" if must else None
