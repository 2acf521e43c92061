"""A store with something of everything taken in, made once; the doors' libraries, or a skipped test."""

import time

import h5py
import numpy as np
import pytest

from cae import zoo
from wrp.cae import cli
from wrp.cte import Store

CSV = "time,value\n" + "".join(f"{number},{number / 8}\n" for number in range(40_000))


def climate(path):
    """A small file as climate models write it: coordinates, a packed variable, attributes, groups."""
    rng = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "climate"
        for name, values in (("time", np.arange(16.0)), ("lat", np.linspace(-90, 90, 180)), ("lon", np.linspace(0, 359, 360))):
            file[name] = values
            file[name].make_scale(name)
        file["time"].attrs["units"] = "days since 2000-01-01"
        options = dict(chunks=(1, 90, 120), compression=1, shuffle=True)
        temperature = file.create_dataset("temperature", data=rng.normal(280, 20, (16, 180, 360)).astype("f4"), **options)
        for axis, name in enumerate(("time", "lat", "lon")):
            temperature.dims[axis].attach_scale(file[name])
        temperature.attrs["units"] = "K"
        temperature.attrs["_FillValue"] = np.float32(-999)
        temperature[0, 0, 0] = -999
        file["model/levels"] = np.arange(5, dtype=">i2")
        file["model"].attrs["name"] = "m1"
    return path


@pytest.fixture(scope="session")
def threads_of_zarr():
    """zarr keeps the threads in which its coroutines and codecs run until Python ends: let all begin before threads are counted."""
    import asyncio

    from zarr.core.sync import sync

    async def begun():
        # a thread is added while none is idle
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.05) for _ in range(64)))
    sync(begun())


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """{name: path of a source}; `store`: the folder that they were taken in to."""
    folder = tmp_path_factory.mktemp("doors")
    (folder / "table.csv").write_text(CSV)
    found = {"zoo": zoo.build(folder / "zoo.h5"), "climate": climate(folder / "climate.nc"), "csv": folder / "table.csv"}
    jobs = "".join(f"  - {{src: '{how}::{found[name]}', dst: 'iowarp::{tag}', format: {kind}}}\n" for name, how, tag, kind in
                   (("zoo", "hdf5", "zoo", "hdf5"), ("climate", "hdf5", "runs/climate", "hdf5"), ("csv", "file", "runs/table.csv", "binary")))
    (folder / "jobs.yaml").write_text("transfers:\n" + jobs)
    assert cli.main([str(folder / "jobs.yaml"), "--store", str(folder / "store"), "--quiet"]) == 0
    return {**found, "store": str(folder / "store")}


@pytest.fixture
def taken_in(sources):
    """The store with the sources, opened for reading."""
    store = Store.open(sources["store"], write=False)
    yield store
    store.close()


@pytest.fixture
def memory():
    """An empty store in memory."""
    store = Store.open()
    yield store
    store.close()
