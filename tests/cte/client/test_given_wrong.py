"""Arguments of calls that are of another kind than meant: taken where the meaning is clear, else one sentence."""

import numpy as np
import pytest

from wrp.cte import Store
from wrp.cte.client import Context, code_of
from wrp.errors import ConfigError, OutOfSpace, UsageError


def test_no_target_of_the_persistence_asked_for_is_said(open_client):
    client = open_client(True)
    tag = client.get_or_create_tag("t")
    for context, level in ((Context(min_persistence_level=2), "at least long_term"), (Context(persistence_target=1), "just temporary")):
        with pytest.raises(OutOfSpace, match=f"no tier that fits: none that takes new bytes is {level}") as refused:
            client.put_blob(tag, "b", 0, None, b"x", context=context)
        assert code_of("put_blob", refused.value) == 12 and "capacity_limit" not in str(refused.value)


@pytest.mark.parametrize("level", [3, None, b"volatile", "best"])
def test_levels_that_there_are_not(open_store, level):
    store = open_store(memory=True)
    store.create("t")
    with pytest.raises(UsageError, match="is none of volatile, temporary, long_term"):
        store.put("t", "b", b"x", min_persistence=level)


@pytest.mark.parametrize("level", [3, 99, -1, "x", None])
def test_flushes_to_levels_that_there_are_not(client, level):
    with pytest.raises(UsageError, match="is none of 0 to 2"):
        client.flush_data("local", level)


def test_a_configuration_may_be_the_path_of_its_file(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text("storage: [{path: 'ram::named', bdev_type: ram, capacity_limit: 8m}]")
    for given in (path, str(path)):
        with Store.open(config=given) as store:
            assert [target.name for target in store.targets()] == ["ram::named"]
    with pytest.raises(ConfigError):
        Store.open(config=tmp_path / "no.yaml")


def test_a_capacity_may_be_a_number_of_numpy(open_store):
    assert open_store(memory=True).add_target("ram::more", "ram", np.int64(1 << 20)).capacity == 1 << 20
