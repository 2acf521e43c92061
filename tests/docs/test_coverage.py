"""What the documents have to name: every error, command, option, environment variable, configuration key and promise's test."""

import contextlib
import importlib
import inspect
import io
import re

import pytest

from docs import documents
from wrp import errors

ROOT = documents.ROOT


def text_of(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def help_of(module, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            code = importlib.import_module(module).main([*arguments, "--help"])
        except SystemExit as end:
            code = end.code
    assert code in (None, 0), code
    return shown.getvalue()


@pytest.mark.parametrize("error", [value for value in vars(errors).values() if inspect.isclass(value)],
                         ids=lambda error: error.__name__)
def test_error_stands_beside_its_code(error):
    row = next((line for line in text_of("errors.md").splitlines() if f"`{error.__name__}`" in line), "")
    assert row.startswith(f"| {error.exit_code} |")


@pytest.mark.parametrize("command", ["ls", "query", "stat", "retrieve", "export", "import", "label", "destroy", "recover", "salvage"])
def test_wrp_cee_command_and_options_are_documented(command):
    assert f"wrp_cee {command}" in documents.everything()
    options = set(re.findall(r"(--[a-z][a-z-]*)", help_of("wrp.cee.cli", command))) - {"--help"}
    missing = [option for option in options if option not in documents.everything()]
    assert options and not missing


def test_wrp_cee_has_no_other_commands():
    listed = re.findall(r"^    ([a-z]+) ", help_of("wrp.cee.cli"), re.M)
    assert sorted(listed) == sorted(["ls", "query", "stat", "retrieve", "export", "import", "label", "destroy", "recover", "salvage"])


def test_wrp_cae_omni_options_are_documented():
    options = set(re.findall(r"(--[a-z][a-z-]*)", help_of("wrp.cae.cli"))) - {"--help"}
    assert options
    assert not [option for option in options if option not in documents.everything()]


@pytest.mark.parametrize("command", ["start", "restart", "stop", "status", "monitor", "compose", "migrate", "doctor", "member list", "member recover", "member add", "member remove", "member check", "conf check", "conf show", "module new"])
def test_wrp_runtime_command_and_options_are_documented(command):
    text = text_of("daemon.md")
    row = next(line for line in text.splitlines() if line.startswith(f"| `wrp-runtime {command}"))
    options = set(re.findall(r"(--[a-z][a-z-]*)", help_of("wrp.runtime.commands.cli", *command.split()))) - {"--help"}
    rows = row + (next(line for line in text.splitlines() if "`wrp-runtime start`" in line) if "as `start`" in row else "")
    assert options and not [option for option in options if option not in rows]


def test_wrp_runtime_has_no_other_commands():
    listed = re.findall(r"^    ([a-z]+) ", help_of("wrp.runtime.commands.cli"), re.M)
    assert sorted(listed) == sorted(["start", "restart", "stop", "status", "monitor", "compose", "migrate", "doctor", "member", "conf", "module"])


@pytest.mark.parametrize("command", ["check", "graph"])
def test_capio_command_and_options_are_documented(command):
    options = set(re.findall(r"(--[a-z][a-z-]*)", help_of("wrp.capio.commands.cli", command))) - {"--help"}
    assert f"capio {command}" in text_of("capio-language.md")
    assert options and not [option for option in options if option not in text_of("capio-language.md")]


@pytest.mark.parametrize("module, command", [("cli", "run"), ("cli", "status"), ("cli", "stop"), ("cli", "shim"), ("cli", "doctor"), ("serve", "")])
def test_capio_server_and_commands_are_documented(module, command):
    options = set(re.findall(r"(--[a-z][a-z-]*)", help_of(f"wrp.capio.commands.{module}", *command.split()))) - {"--help"}
    rows = [line for line in text_of("capio.md").splitlines() if line.startswith(f"| `capio {command}" if command else "| `capio_server")]
    assert options and not [option for option in options if f"`{option}" not in "".join(rows)]


def test_capio_variables_are_documented():
    found = set()
    for path in [*(ROOT / "wrp" / "capio").rglob("*.py"), *(ROOT / "wrp" / "capio").rglob("*.c")]:
        found |= set(re.findall(r'"(CAPIO_[A-Z_]+)[="]', path.read_text(encoding="utf-8")))
    assert len(found) > 10 and not sorted(name for name in found if f"`{name}`" not in text_of("capio.md"))


def test_keys_of_the_language_are_documented():
    from wrp.capio.language import streaming, version1

    text = text_of("capio-language.md")
    assert not [key for key in (*version1.KEYS, *version1.OLD_KEYS, *streaming.KEYS, *streaming.OLD_KEYS) if f"`{key}" not in text and f"`streaming[].{key}" not in text
                and f"`IO_Graph[].{key}" not in text and f"{key}`" not in text]


def test_environment_variables_are_documented():
    found = set()
    files = [path for folder in ("bin", "slurm") for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in [*(ROOT / "wrp").rglob("*.py"), *files]:
        found |= set(re.findall(r"\bWRP_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8")))
    assert "WRP_STORE" in found
    assert not sorted(name for name in found if f"`{name}`" not in text_of("configuration.md"))


def test_configuration_keys_are_documented():
    from wrp.runtime.config import keys

    missing = [key.path for key in keys.describe() if f"`{key.path}`" not in text_of("configuration.md")]
    assert not missing


def test_every_promise_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text_of("promises.md") + text_of("daemon.md") + text_of("defects.md"))
    assert len(named) > 10
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""
        assert re.search(rf"\b(def|class) {test}\b", source), f"{path}::{test} is named in the docs and isn't there"


def test_every_call_is_said_to_be_collective_or_local():
    from wrp.cee import ContextInterface
    from wrp.comm.ranks import Ranks
    from wrp.cte import Store
    from wrp.cte.batch import Batch

    text = text_of("collective.md")
    for kind in (Store, Batch, Ranks, ContextInterface):
        for name, value in vars(kind).items():
            if name.startswith("_") or not callable(getattr(value, "__func__", value)):
                continue
            assert f"`{kind.__name__}.{name}`" in text or f"`{name}`" in text, f"{kind.__name__}.{name}"


def test_calls_of_the_client_are_documented():
    from wrp.cte.client import Client, Tag
    from wrp.cte.client.deferred import Deferred
    from wrp.cte.client.more import More

    text = text_of("client.md")
    for kind in (Client, More, Deferred, Tag):
        assert not [name for name in vars(kind) if not name.startswith("_") and f"`{name}" not in text]


def test_queries_of_the_monitor_are_documented():
    from wrp.runtime.monitor import query

    assert not [name for name in (*query._PLAIN, *query._OF_POOL) if f"`{name}`" not in text_of("daemon.md") and f":{name}:" not in text_of("daemon.md")]


def test_calls_of_chimaera_runtime_ext_are_documented():
    import chimaera_runtime_ext

    text = text_of("daemon.md")
    assert not [name for name in chimaera_runtime_ext.__all__ if name != "ChimaeraMode" and f"`{name}" not in text]


def test_wrp_cte_bench_options_are_documented():
    options = set(re.findall(r"(--[a-z][a-z-]*)", help_of("wrp.cte.bench.cli"))) - {"--help"}
    assert options and not [option for option in options if f"`{option}" not in text_of("benchmark.md")]


def test_keys_and_sources_of_job_files_are_documented():
    from wrp.cae import registry, remarks

    text = text_of("job-files.md")
    assert not [key for key in (*remarks.TRANSFER, *remarks.FILTER) if f"`{key}`" not in text]
    assert not [protocol for protocol in registry.known() if f"`{protocol}:" not in text]


def test_keys_of_labels_are_documented():
    from dataclasses import fields

    from wrp.cae.labels.rules import Match, Rules

    text = text_of("job-files.md")
    assert not [field.name for field in fields(Rules) if f"`label_{field.name}" not in text]
    assert not [field.name for field in fields(Match) if f"`{field.name}`" not in text and f"`label_matches[].{field.name}`" not in text]
