"""The configuration: defaults, where a value comes from, and the sentence of every refusal (invalid/*.yaml)."""

from pathlib import Path

import pytest

from wrp.errors import ConfigError
from wrp.runtime import composing
from wrp.runtime.config import Config, describe, load

INVALID = sorted((Path(__file__).parent / "invalid").glob("*.yaml"))


def written(folder, text, name="c.yaml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_refusal_has_the_expected_sentence_and_the_file(path):
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(ConfigError) as caught:
        load(str(path), {})
    assert expected in str(caught.value)
    assert path.name in str(caught.value)


def test_without_a_file_every_key_has_its_default(tmp_path):
    config = load(environ={"HOME": str(tmp_path)})
    assert config.path is None
    for key in describe():
        if "[]" not in key.path:
            assert config.get(key.path) == key.default
            assert config.origin(key.path) == "default"


def test_values_and_where_they_come_from(tmp_path):
    path = written(tmp_path, """
runtime:
  first_busy_wait: 7
  segment_capacity: 1.5g
networking: {port: 1}
memory: {whatever: 3}
""")
    config = load(path, {"CHI_PORT": "4711", "WRP_TIMEOUT_S": "2.5"})
    assert config.get("runtime.first_busy_wait") == 7
    assert config.origin("runtime.first_busy_wait") == f"{path}:3"
    assert config.get("runtime.segment_capacity") == 3 << 29
    assert (config.get("networking.port"), config.origin("networking.port")) == (4711, "environment CHI_PORT")
    assert config.get("runtime.timeout_s") == 2.5
    assert config.origin("runtime.queue_depth") == "default"


def test_the_file_is_looked_for_in_order(tmp_path):
    paths = [written(tmp_path, f"runtime: {{num_threads: {number}}}", f"{number}.yaml") for number in (1, 2, 3)]
    written(tmp_path, "runtime: {num_threads: 4}", ".chimaera/chimaera.yaml")
    environ = {"HOME": str(tmp_path)}
    assert load(environ=environ).get("runtime.num_threads") == 4
    environ["WRP_RUNTIME_CONF"] = paths[2]
    assert load(environ=environ).get("runtime.num_threads") == 3
    environ["CHI_SERVER_CONF"] = paths[1]
    assert load(environ=environ).get("runtime.num_threads") == 2
    assert load(paths[0], environ).get("runtime.num_threads") == 1


def test_a_file_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml.*WRP_RUNTIME_CONF"):
        load(environ={"WRP_RUNTIME_CONF": str(tmp_path / "none.yaml")})


def test_a_variable_that_a_file_names_may_name_another_file(tmp_path):
    conf = written(tmp_path, "config_env_var: MY_CONF\nruntime: {num_threads: 2, queue_depth: 64}\n")
    other = tmp_path / "other.yaml"
    other.write_text("runtime: {num_threads: 3}\n")
    assert load(conf, {}).get("runtime.num_threads") == 2
    config = load(conf, {"MY_CONF": str(other)})
    assert (config.get("runtime.num_threads"), config.get("runtime.queue_depth"), config.origin("runtime.num_threads")) == (3, 64, f"{other}:1")
    with pytest.raises(ConfigError, match="gone.yaml, which MY_CONF names, isn't there"):
        load(conf, {"MY_CONF": str(tmp_path / "gone.yaml")})


def test_wrong_value_in_the_environment():
    with pytest.raises(ConfigError, match="WRP_TIMEOUT_S in the environment.*must be a number"):
        load(environ={"WRP_TIMEOUT_S": "soon", "HOME": "/nowhere"})


def test_tiers(tmp_path):
    ram, file = load(written(tmp_path, """
storage:
  - {path: "ram::fast", capacity_limit: 64m, score: 1}
  - path: /scratch/x
"""), {}).get("storage")
    assert (ram["bdev_type"], ram["capacity_limit"], ram["score"]) == ("ram", 64 << 20, 1)
    assert (file["bdev_type"], file["path"], file["score"]) == ("file", "/scratch/x", -1)


def test_pools_of_the_reference_s_file(tmp_path):
    config = load(written(tmp_path, """
compose:
  - mod_name: chimaera_bdev
    pool_name: "ram::a"
    pool_id: 301.0
    pool_query: dynamic
    capacity: 1m
    perf_metrics: {iops: 5}
  - mod_name: wrp_cte_core
    pool_name: cte_main
    pool_id: "512.0"
    storage: [{path: "ram::t", bdev_type: ram, capacity_limit: 2m}]
    targets: {neighborhood: 2}
  - {mod_name: of_a_user, pool_name: mine, anything: [1, 2]}
"""), {})
    bdev, _, mine = config.get("compose")
    assert (bdev["pool_id"], bdev["capacity"], bdev["perf_metrics.iops"]) == ("301.0", 1 << 20, 5)
    assert mine["anything"] == [1, 2]
    assert config.get("storage")[0]["capacity_limit"] == 2 << 20
    assert config.get("targets.neighborhood") == 2


def test_later_names_and_keys_of_the_reference(tmp_path):
    config = load(written(tmp_path, """
compose:
  - {mod_name: clio_bdev, pool_name: "ram::a", growth_unit: 1g, populate_unit: 64m, alloc_log: /tmp/log}
  - mod_name: clio_cte_core
    pool_name: cte_main
    storage: [{path: "ram::t", growth_unit: 1g, populate_unit: 64m, alloc_log: /tmp/log}]
    dpe: {dpe_type: maxbw}
    performance: {organizer_tasks: 2}
    gpu_metadata_cache: {enabled: true, capacity: 1m}
"""), {})
    assert config.get("dpe.dpe_type") == "max_bw"
    assert load(written(tmp_path, "dpe: {dpe_type: roundrobin}"), {}).get("dpe.dpe_type") == "round_robin"
    assert [name for name, _, _ in composing.composed(config)] == ["ram::a"]


@pytest.mark.parametrize("module, ours", [
    ("clio_cte_replication", "targets.replicas"), ("wrp_cte_compressor", "Store.set_compression"), ("clio_cte_compressor", "Store.set_compression"),
    ("clio_cte_cache", "targets.cache"), ("clio_cte_indexer", "semantic_search"), ("clio_cte_filesystem", "wrp.cee.doors"),
    ("clio_cte_checkpoint", "Store.checkpoint"), ("clio_cae_summarizer", "wrp_cee label")])
def test_modules_of_the_chain_are_refused_with_what_there_is_instead(tmp_path, module, ours):
    config = load(written(tmp_path, f"compose:\n  - {{mod_name: {module}, pool_name: x, pool_id: 561.0, next_pool_id: 512.0}}\n"), {})
    with pytest.raises(ConfigError, match=f"c.yaml:2: module '{module}' isn't needed.*{ours}"):
        composing.check(config)


def test_it_never_changes(tmp_path):
    config = load(written(tmp_path, 'storage: [{path: "ram::t"}]'), {})
    with pytest.raises(AttributeError):
        config.path = "other"
    with pytest.raises(TypeError):
        config.get("storage")[0]["score"] = 0.5


def test_a_key_that_is_not_in_the_schema():
    with pytest.raises(ConfigError, match="did you mean 'runtime.timeout_s'"):
        Config.default().get("runtime.timeout")


def test_every_key_has_a_description():
    assert all(key.description for key in describe())
    assert {key.used for key in describe()} == {True, False}
