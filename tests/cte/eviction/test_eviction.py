"""Ram that files hold too is given up for new puts; what is viewed or not flushed stays."""


def put_mebibytes(store, tag, count):
    for number in range(count):
        store.put(tag, f"b{number}", bytes([number]) * (1 << 20))


def test_flushed_blobs_make_room(open_store):
    store = open_store(ram="8m")
    put_mebibytes(store, "old", 6)
    store.flush()
    put_mebibytes(store, "new", 6)
    assert all(info.tiers == ("ram",) for info in store.infos("new").values())
    assert any(info.tiers == ("file",) for info in store.infos("old").values())
    assert all(store.get(tag, f"b{number}") == bytes([number]) * (1 << 20) for tag in ("old", "new") for number in range(6))


def test_viewed_blobs_stay(open_store):
    store = open_store(ram="8m")
    put_mebibytes(store, "old", 6)
    store.flush()
    view = store.view("old", "b0")
    put_mebibytes(store, "new", 12)
    assert bytes(view) == bytes(1 << 20) and "ram" in store.info("old", "b0").tiers
    view.release()


def test_unflushed_blobs_stay(open_store):
    store = open_store(ram="8m")
    put_mebibytes(store, "old", 6)
    put_mebibytes(store, "new", 12)
    assert all(info.tiers == ("ram",) for info in store.infos("old").values())
