"""What the environment says, and what it can't say."""

import pytest

from wrp.capio.commands import settings
from wrp.errors import UsageError


def test_defaults():
    assert (settings.transport({}), settings.transport({"CAPIO_TRANSPORT": ""}), settings.silent_s({})) == ("auto", "auto", 15)


@pytest.mark.parametrize("read, environ, sentence", [
    (settings.transport, {"CAPIO_TRANSPORT": "smoke"}, "CAPIO_TRANSPORT: smoke isn't one of auto, tcp, mpi"),
    (settings.silent_s, {"CAPIO_SILENT_S": "soon"}, "CAPIO_SILENT_S: soon isn't a number of seconds"),
])
def test_refusals(read, environ, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(environ)
