"""Clients of small stores."""

import pytest

from wrp.cte.client import Client


@pytest.fixture
def open_client(open_store):
    """A function: the Client of a store of this kind and size; closed at the end, before the store."""
    clients = []

    def make(*args, **sizes):
        clients.append(Client(open_store(*args, **sizes)))
        return clients[-1]
    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(open_client):
    return open_client()


@pytest.fixture
def tag(client):
    return client.get_or_create_tag("t")
