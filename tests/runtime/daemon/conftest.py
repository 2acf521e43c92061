"""A daemon for the tests that don't end it."""

import pytest


@pytest.fixture(scope="package")
def daemon(start_daemon):
    """One daemon for the tests that don't end it."""
    return start_daemon("shared")
