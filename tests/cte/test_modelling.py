"""What puts and gets would take, without doing them."""

import pytest

from wrp.cte import Store
from wrp.cte.client import Client, Context
from wrp.errors import NoSuchBlob, OutOfSpace, RangeError, UsageError
from wrp.runtime.config import load

MIB = 1 << 20
CONF = """
storage:
  - {path: "ram::fast", bdev_type: ram, capacity_limit: 8m, score: 1.0, perf_metrics: {write_bandwidth_mbps: 1000, read_bandwidth_mbps: 2000, write_latency_us: 1}}
  - {path: "ram::slow", bdev_type: ram, capacity_limit: 32m, score: 0.0, perf_metrics: {write_bandwidth_mbps: 100, read_bandwidth_mbps: 200, write_latency_us: 500}}
dpe: {dpe_type: %s}
"""


@pytest.fixture
def opened(tmp_path):
    def make(policy):
        path = tmp_path / f"{policy}.yaml"
        path.write_text(CONF % policy)
        return Store.open(None, config=load(path))
    return make


def figures(store):
    return {target.name: target for target in store.targets()}


@pytest.mark.parametrize("policy", ["max_bw", "round_robin", "random", "cost"])
@pytest.mark.parametrize("nbytes", [0, 1000, 6 * MIB, 20 * MIB])
def test_a_put_goes_where_the_model_said(opened, policy, nbytes):
    with opened(policy) as store:
        for _ in range(5):
            store.put("t", "a", bytes(MIB))
        before = store.targets()
        first = store.modelled_put("t", "b", nbytes)
        assert store.modelled_put("t", "b", nbytes) == first and store.targets() == before and store.list("t") == ["a"]
        store.put("t", "b", bytes(nbytes))
        names, went = {target.number: target.name for target in before}, []
        for number, _, size in store.extents("t", "b"):
            if went and went[-1][0] == names[number]:
                size += went.pop()[1]
            went.append((names[number], size))
        assert first.places == tuple(went)
        known = {target.name: target for target in before}
        assert first.seconds == pytest.approx(sum(-(-size // (4 * MIB)) * known[name].latency_us / 1e6 + size / known[name].write_mbps / 1e6 for name, size in went))
        read = store.modelled_get("t", "b")
        assert read.places == first.places
        assert read.seconds == pytest.approx(sum(known[names[number]].latency_us / 1e6 + size / known[names[number]].read_mbps / 1e6
                                                 for number, _, size in store.extents("t", "b")))


def test_refusals_and_ranges(opened):
    with opened("max_bw") as store:
        store.put("t", "b", bytes(5 * MIB))
        half, whole = store.modelled_get("t", "b", MIB, 2 * MIB), store.modelled_get("t", "b")
        assert half.places == ((whole.places[0][0], 2 * MIB),) and 0 < half.seconds < whole.seconds
        for call, kind in ((lambda: store.modelled_put("t", "b", 60 * MIB), OutOfSpace), (lambda: store.modelled_put("t", "b", -1), UsageError),
                           (lambda: store.modelled_put("t", "b", 1, score=2), UsageError), (lambda: store.modelled_get("t", "b", MIB, 5 * MIB), RangeError),
                           (lambda: store.modelled_get("t", "c"), NoSuchBlob)):
            with pytest.raises(kind):
                call()


def test_the_client_s_context(opened):
    with opened("max_bw") as store, Client(store) as client:
        tag, context = client.get_or_create_tag("t"), Context(emulate=True)
        client.put_blob(tag, "b", 0, None, bytes(2 * MIB), 1.0, context)
        assert not client.exists_blob(tag, "b") and sum(nbytes for _, nbytes in context.emulated_places) == 2 * MIB
        assert context.emulated_time_ms == pytest.approx(2 * MIB / figures(store)[context.emulated_places[0][0]].write_mbps / 1e3, rel=0.01)
        client.put_blob(tag, "b", 0, None, bytes(2 * MIB))
        assert client.emulate_get(tag, "b").seconds > 0
