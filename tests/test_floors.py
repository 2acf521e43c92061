"""Imports point down only: comm <- runtime <- cte <- {cae <- cee, capio}; wrp.errors is below all."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest
import wrp
from harness.mpirun import job_environment

_ROOT = Path(wrp.__file__).parent
_FLOORS = ("comm", "runtime", "cte", "cae", "cee", "capio")


def _commands():
    """{command: where its main is}, as they are installed."""
    found = configparser.ConfigParser()
    found.read(_ROOT.parent / "setup.cfg")
    return dict(line.split(" = ") for line in found["options.entry_points"]["console_scripts"].split("\n") if line)


def _imported(path):
    """Names of modules that a file imports, wherever in the file, relative ones made absolute."""
    package = list(path.relative_to(_ROOT.parent).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("floor", _FLOORS)
def test_imports_point_down(floor):
    above = tuple(f"wrp.{name}" for name in _FLOORS[_FLOORS.index(floor) + 1:])
    wrong = [f"{path.relative_to(_ROOT)} imports {name}" for path in sorted((_ROOT / floor).rglob("*.py"))
             for name in _imported(path) if name.startswith(above) or name.split(".")[0] == "wrp_cee"]
    assert not wrong, "; ".join(wrong)


def test_capio_needs_neither_cae_nor_cee():
    assert not [f"{path.name} imports {name}" for path in sorted((_ROOT / "capio").rglob("*.py")) for name in _imported(path)
                if name.startswith(("wrp.cae", "wrp.cee"))]


def test_errors_are_below_all():
    assert not [name for name in _imported(_ROOT / "errors.py") if name.startswith("wrp")]


def test_mpi_stays_in_comm():
    wrong = [str(path.relative_to(_ROOT)) for path in sorted(_ROOT.rglob("*.py")) if path.parent not in
             (_ROOT / "comm", _ROOT / "comm" / "ranks") and any(name.startswith("mpi4py") for name in _imported(path))]
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("floor", _FLOORS)
def test_a_floor_works_without_those_above(floor):
    """Import every module of the floor with the floors above blocked; none of them imports MPI."""
    above = [f"wrp.{name}" for name in _FLOORS[_FLOORS.index(floor) + 1:]]
    code = ("import sys, pkgutil, importlib\n"
            f"sys.modules.update(dict.fromkeys({above!r}))\n"
            f"package = importlib.import_module('wrp.{floor}')\n"
            "for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
            "    try:\n"
            "        found.name.endswith('__main__') or importlib.import_module(found.name)\n"
            "    except OSError as error:\n"
            "        if 'libfuse' not in str(error):      # of the system, and may be missing\n"
            "            raise\n"
            "assert 'mpi4py.MPI' not in sys.modules, 'MPI is imported'")
    done = subprocess.run([sys.executable, "-c", code], env=job_environment(), capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [*sorted(_commands()), "python -m wrp.cee.doors.mount"])
def test_help_and_wrong_arguments_load_no_kernels(command):
    """A command that only says how it is called is there at once: in a tenth of the time that Numba, NumPy and h5py take to import."""
    module, _, _ = _commands().get(command, "wrp.cee.doors.mount:main").partition(":")
    code = ("import sys\n"
            f"from {module} import main\n"
            "try:\n"
            "    main(sys.argv[1:])\n"
            "except SystemExit:\n"
            "    pass\n"
            "print(*{'numba', 'numpy', 'h5py', 'mpi4py.MPI', 'fsspec', 'wrp.comm.jit'} & set(sys.modules), file=sys.stderr)")
    for words, told in ((["--help"], "usage: "), (["--bogus"], "--help shows how to call it")):
        done = subprocess.run([sys.executable, "-c", code, *words], env=job_environment(), capture_output=True, text=True, timeout=50)
        assert told in done.stdout + done.stderr and done.stderr.splitlines()[-1] == "", done.stderr
