"""Servers for the tests of this folder."""

import pytest

from capio.served import Flow, document


@pytest.fixture
def make_flow(tmp_path):
    """make_flow(document, *options) -> Flow; ended after the test."""
    made = []

    def make(workflow, *options):
        made.append(Flow(tmp_path, workflow, *options))
        return made[-1]

    yield make
    for flow in made:
        flow.end()


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    """A Flow whose files *.n stream (on_close, no_update) and whose files *.u are read when they are closed; its steps never end."""
    flow = Flow(tmp_path_factory.mktemp("streaming"), document("streaming", **{"*.n": "on_close no_update", "*.u": "on_close update"}))
    flow.hold("writer", "reader")
    yield flow
    flow.end()
