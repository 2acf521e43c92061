"""The surface of the reference's Python modules, of its release 1.0.3 and of the later ones (clio_ names), as data: names, arguments, defaults. Ours has all of it."""

import importlib
import inspect
import pickle
from datetime import timedelta
from enum import Enum

import pytest

from wrp import errors

NONE = inspect.Parameter.empty
BROADCAST, DYNAMIC, LOCAL = "PoolQuery('broadcast')", "PoolQuery('dynamic')", "PoolQuery('local')"
_TAG_BLOB = {"tag_id": NONE, "blob_name": NONE}
_QUERY = {"max_tags": 0, "pool_query": BROADCAST}
_SEARCH = {"tag_regex": NONE, "blob_regex": NONE}
_TIMES = {"time_begin": 0, "time_end": 0, "max_entries": 0, "pool_query": BROADCAST}
_MODES = {"kClient": 0, "kServer": 1, "kRuntime": 2}
_CTX = dict(depends_on="", range_off=0, range_size=0, src_token="", dst_token="")
_MODE = {"mode": NONE, "default_with_runtime": False, "is_restart": False}

ENUMS = [
    ("cte_core_ext", "CteOp", {"kPutBlob": 0, "kGetBlob": 1, "kDelBlob": 2, "kGetOrCreateTag": 3, "kDelTag": 4, "kGetTagSize": 5}),
    ("cte_core_ext", "BdevType", {"kFile": 0, "kRam": 1}), ("cte_core_ext", "ChimaeraMode", _MODES), ("cte_core_ext", "RuntimeMode", _MODES),
]
# module, "name" of a function, or "Class.name" of a call of a class ("Class" alone: its constructor), {argument: default}; what is required there may have one here
CALLS = [
    ("cte_core_ext", "UniqueId", {"major": NONE, "minor": NONE}), ("cte_core_ext", "UniqueId.GetNull", {}), ("cte_core_ext", "UniqueId.ToU64", {}), ("cte_core_ext", "UniqueId.IsNull", {}),
    ("cte_core_ext", "PoolQuery", {}), ("cte_core_ext", "PoolQuery.Broadcast", {"net_timeout": -1.0}), ("cte_core_ext", "PoolQuery.Dynamic", {"net_timeout": -1.0}),
    ("cte_core_ext", "PoolQuery.Local", {"parallelism": 32}), ("cte_core_ext", "SemanticSearchResult", {}), ("cte_core_ext", "TemporalSearchResult", {}),
    ("cte_core_ext", "CteTelemetry", {"op": NONE, "off": NONE, "size": NONE, "tag_id": NONE, "mod_time": NONE, "read_time": NONE, "logical_time": 0}),
    ("cte_core_ext", "Future.wait", {"max_sec": -1.0}), ("cte_core_ext", "Future.done", {}), ("cte_core_ext", "Future.result", {"max_sec": -1.0}),
    ("cte_core_ext", "Client", {"pool_id": NONE}), ("cte_core_ext", "Client.PollTelemetryLog", {"minimum_logical_time": NONE}),
    ("cte_core_ext", "Client.ReorganizeBlob", {**_TAG_BLOB, "new_score": NONE}), ("cte_core_ext", "Client.TagQuery", {"tag_regex": NONE, **_QUERY}),
    ("cte_core_ext", "Client.BlobQuery", {**_SEARCH, "max_blobs": 0, "pool_query": BROADCAST}),
    ("cte_core_ext", "Client.SemanticSearch", {**_SEARCH, "query_text": NONE, "k": 10, "pool_query": BROADCAST}), ("cte_core_ext", "Client.TemporalSearch", {**_SEARCH, **_TIMES}),
    ("cte_core_ext", "Client.RegisterTarget", {"target_name": NONE, "bdev_type": NONE, "total_size": NONE, "target_query": NONE, "bdev_id": NONE}),
    ("cte_core_ext", "Client.DelBlob", _TAG_BLOB), ("cte_core_ext", "Client.AsyncGetOrCreateTag", {"tag_name": NONE, "pool_query": DYNAMIC}),
    ("cte_core_ext", "Client.AsyncGetBlobSize", {**_TAG_BLOB, "pool_query": DYNAMIC}), ("cte_core_ext", "Client.AsyncGetContainedBlobs", {"tag_id": NONE, "pool_query": BROADCAST}),
    ("cte_core_ext", "Client.AsyncPutBlob", {**_TAG_BLOB, "data": NONE, "off": 0}), ("cte_core_ext", "Client.AsyncGetBlob", {**_TAG_BLOB, "data_size": NONE, "off": 0}),
    ("cte_core_ext", "Client.AsyncPutBlobDefer", {**_TAG_BLOB, "data": NONE, "off": 0, "max_inflight_bytes": 0}),
    ("cte_core_ext", "Client.AsyncGetBlobDefer", {**_TAG_BLOB, "data_size": NONE, "off": 0}), ("cte_core_ext", "Client.AwaitPutsUntilSpace", {"max_inflight_bytes": NONE}),
    ("cte_core_ext", "Client.DeferErrorCount", {}), ("cte_core_ext", "Client.AsyncDelBlob", _TAG_BLOB), ("cte_core_ext", "Client.AsyncReorganizeBlob", {**_TAG_BLOB, "new_score": NONE}),
    ("cte_core_ext", "Client.AsyncRegisterTarget", {"target_name": NONE, "bdev_type": NONE, "total_size": NONE}), ("cte_core_ext", "Client.AsyncTagQuery", {"tag_regex": NONE, **_QUERY}),
    ("cte_core_ext", "Client.AsyncBlobQuery", {**_SEARCH, "max_blobs": 0, "pool_query": BROADCAST}),
    ("cte_core_ext", "Client.AsyncSemanticSearch", {**_SEARCH, "query_text": NONE, "k": 10, "pool_query": BROADCAST}),
    ("cte_core_ext", "Client.AsyncTemporalSearch", {**_SEARCH, **_TIMES}), ("cte_core_ext", "Client.AsyncPollTelemetryLog", {"minimum_logical_time": NONE}),
    ("cte_core_ext", "Tag", {"tag_name": NONE, "tag_id": NONE}), ("cte_core_ext", "Tag.PutBlob", {"blob_name": NONE, "data": NONE, "off": 0}),
    ("cte_core_ext", "Tag.GetBlob", {"blob_name": NONE, "data_size": NONE, "off": 0}), ("cte_core_ext", "Tag.GetBlobScore", {"blob_name": NONE}),
    ("cte_core_ext", "Tag.GetBlobSize", {"blob_name": NONE}), ("cte_core_ext", "Tag.GetContainedBlobs", {}),
    ("cte_core_ext", "Tag.ReorganizeBlob", {"blob_name": NONE, "new_score": NONE}), ("cte_core_ext", "Tag.GetTagId", {}),
    ("cte_core_ext", "get_cte_client", {}), ("cte_core_ext", "chimaera_init", _MODE), ("cte_core_ext", "clio_init", _MODE),
    ("cte_core_ext", "initialize_cte", {"config_path": NONE, "pool_query": NONE}),
    ("cee", "AssimilationCtx", {"src": NONE, "dst": NONE, "format": NONE, **_CTX}), ("cee", "ContextInterface", {}), ("cee", "ContextInterface.context_bundle", {"bundle": NONE}),
    ("cee", "ContextInterface.context_query", {"tag_re": NONE, "blob_re": NONE, "max_results": 0, "prompt": "", "time_begin": 0, "time_end": 0}),
    ("cee", "ContextInterface.context_retrieve", {"tag_re": NONE, "blob_re": NONE, "max_results": 1024, "max_context_size": 256 << 20, "batch_size": 32, "prompt": "", "time_begin": 0, "time_end": 0}),
    ("cee", "ContextInterface.context_splice", {"new_ctx": NONE, "tag_re": NONE, "blob_re": NONE}), ("cee", "ContextInterface.context_destroy", {"context_names": NONE}),
    ("runtime_ext", "MonitorTask.wait", {"max_sec": 0.0}), ("runtime_ext", "MonitorTask.is_complete", {}), ("runtime_ext", "MonitorTask.get_return_code", {}),
    ("runtime_ext", "async_monitor", {"pool_query": NONE, "query": NONE}), ("runtime_ext", "stop_runtime", {"pool_query": NONE, "grace_period_ms": 5000}),
    ("runtime_ext", "chimaera_init", {"mode": NONE}), ("runtime_ext", "clio_init", {"mode": NONE}), ("runtime_ext", "chimaera_finalize", {}), ("runtime_ext", "clio_finalize", {}),
]
FIELDS = [
    ("cte_core_ext", "UniqueId", ["major_", "minor_"]), ("cte_core_ext", "SemanticSearchResult", ["tag_id", "blob_name", "score"]),
    ("cte_core_ext", "TemporalSearchResult", ["tag_id", "blob_name", "last_modified"]),
    ("cte_core_ext", "CteTelemetry", ["op_", "off_", "size_", "tag_id_", "mod_time_", "read_time_", "logical_time_"]),
    ("cee", "AssimilationCtx", ["src", "dst", "format", "depends_on", "range_off", "range_size", "src_token", "dst_token", "src_data"]),
]
_NAMES = {"cte_core_ext": ("wrp_cte_core_ext", "clio_cte_core_ext"), "cee": ("wrp_cee", "clio_cee"), "runtime_ext": ("chimaera_runtime_ext", "clio_runtime_ext")}


def modules(name):
    return [importlib.import_module(each) for each in _NAMES[name]]


def found(module, path):
    for part in path.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("module, path, arguments", CALLS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_call_takes_what_the_reference_s_takes(module, path, arguments):
    for one in modules(module):
        ours = dict(inspect.signature(found(one, path)).parameters)
        ours.pop("self", None)
        assert list(ours)[:len(arguments)] == list(arguments)
        for name, default in arguments.items():
            given = ours[name].default
            assert ours[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            assert default is NONE or given == default or repr(given) == default, (name, given)
        assert all(parameter.default is not NONE for parameter in list(ours.values())[len(arguments):])


@pytest.mark.parametrize("module, name, members", ENUMS, ids=lambda each: each if isinstance(each, str) else "")
def test_enums(module, name, members):
    for one in modules(module):
        enum = getattr(one, name)
        assert issubclass(enum, Enum) and {member: enum[member].value for member in members} == members
        assert all(str(enum[member]) == f"{enum.__name__}.{member}" for member in members)


@pytest.mark.parametrize("module, name, fields", FIELDS, ids=lambda each: each if isinstance(each, str) else "")
def test_what_is_made_without_arguments_has_its_fields_to_read_and_write(module, name, fields):
    for one in modules(module):
        made = getattr(one, name)()
        for field in fields:
            setattr(made, field, getattr(made, field))
        assert made is not None and len(fields) == len({id(field) for field in fields})


def test_names_of_both_releases_are_in_both_modules():
    for old, new in _NAMES.values():
        old, new = importlib.import_module(old), importlib.import_module(new)
        assert sorted(old.__all__) == sorted(new.__all__) and all(getattr(old, name) is getattr(new, name) for name in old.__all__)
    one = modules("cte_core_ext")[0]
    assert one.TagId is one.BlobId is one.PoolId is one.UniqueId


def test_every_error_is_a_runtime_error_as_there_and_what_it_resembles():
    found = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.WrpError)]
    assert len(found) > 20
    for kind in found:
        made = pickle.loads(pickle.dumps(kind("a sentence")))
        assert type(made) is kind and isinstance(made, RuntimeError) and str(made) == "a sentence" and made.args == ("a sentence",)
    assert issubclass(errors.NoSuchBlob, KeyError) and issubclass(errors.StoreError, OSError) and errors.StoreError("no").errno is None


def test_how_values_are_shown():
    cte, cee = modules("cte_core_ext")[0], modules("cee")[0]
    best, last = cte.SemanticSearchResult(), cte.TemporalSearchResult()
    best.tag_id, best.blob_name, best.score = cte.TagId(2, 5), "blobA", .875
    last.tag_id, last.blob_name, last.last_modified = cte.TagId(major=4, minor=9), "blobB", 12345
    assert repr(best) == "SemanticSearchResult(tag_id=(2,5), blob_name='blobA', score=0.875000)"
    assert repr(last) == "TemporalSearchResult(tag_id=(4,9), blob_name='blobB', last_modified=12345)"
    assert repr(cee.AssimilationCtx("s", "d", "f")) == "<AssimilationCtx src='s' dst='d' format='f'>"
    entry = cte.CteTelemetry(cte.CteOp.kGetBlob, 64, 4096, cte.TagId(1, 2), timedelta(seconds=5), timedelta(0))
    assert (entry.op_, entry.off_, entry.size_, entry.tag_id_.ToU64(), entry.mod_time_, entry.logical_time_) == (cte.CteOp.kGetBlob, 64, 4096, 1 << 32 | 2, timedelta(seconds=5), 0)
