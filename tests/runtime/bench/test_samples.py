"""Percentiles of samples are those of numpy; loops of clients in one process."""

import numpy as np
import pytest

from wrp.runtime.bench.samples import Samples


@pytest.mark.parametrize("count", [1, 2, 3, 10, 999, 5000])
def test_percentiles_are_those_of_numpy(count):
    durations = np.random.default_rng(count).integers(0, 400, count)
    found = Samples.of(durations).summary()
    for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9), ("max", 100)):
        assert found[name] == pytest.approx(np.percentile(durations, percent), rel=1e-12, abs=1e-9)


def test_merged_parts_are_the_samples_of_all():
    parts = [np.random.default_rng(seed).integers(0, 50, 10 * seed) for seed in range(4)]
    merged, whole = Samples.merged([Samples.of(part) for part in parts]), Samples.of(np.concatenate(parts))
    assert merged.values.tolist() == whole.values.tolist() and merged.counts.tolist() == whole.counts.tolist()
    assert len(merged) == 60 and merged.total_ns == sum(int(part.sum()) for part in parts)


def test_no_samples_have_no_percentiles():
    assert Samples().summary() == dict.fromkeys(("p50", "p99", "p99.9", "max"))
