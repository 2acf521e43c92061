"""A daemon for the tests of a module, called as its NAME says, and what the command answers of it."""

import pytest

from wrp.runtime.commands import cli


@pytest.fixture(scope="module")
def running(request, start_daemon):
    return start_daemon(request.module.NAME)


@pytest.fixture
def answer(running, capsys):
    """answer(*arguments) -> (exit code, standard output, standard error)."""
    def run(*arguments):
        code = cli.main([*map(str, arguments), "--name", running.name])
        return code, *capsys.readouterr()
    return run
