"""fsspec's own suites for file systems over `wrp://`: copy, get, put, open, pipe. What is particular to tags and blobs is in test_filesystem.py."""

import pytest

abstract = pytest.importorskip("fsspec.tests.abstract", reason="fsspec isn't installed: pip install -e '.[arrays]'")

from wrp.cee.doors.filesystem import WrpFileSystem
from wrp.cte import Store


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls):
        with Store.open() as store:
            yield store

    @pytest.fixture
    def fs(self, opened):
        yield WrpFileSystem(opened, skip_instance_cache=True)
        for tag in opened.tags():
            opened.destroy(tag)

    @pytest.fixture
    def fs_path(self):
        return "top"


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass
