"""`held::path`: a source as slow as a test wants: its reader waits until the file `path`.go is there."""

import dataclasses
import os
import time

from wrp.cae import url
from wrp.cae.binary import Binary
from wrp.errors import SourceError

_LONGEST_S = 90.0


class Held:
    def survey(self, transfer):
        path = url.parse(transfer.src)[1]
        survey = Binary().survey(dataclasses.replace(transfer, src=f"file::{path}"))
        items = tuple(dataclasses.replace(item, stream=_Stream(item.stream, path)) for item in survey.items)
        return dataclasses.replace(survey, items=items)


@dataclasses.dataclass(frozen=True)
class _Stream:
    inner: object
    path: str

    def open(self):
        deadline = time.monotonic() + _LONGEST_S
        open(f"{self.path}.waiting", "w").close()
        while not os.path.exists(f"{self.path}.go"):
            if time.monotonic() > deadline:
                raise SourceError(f"nobody let {self.path} go within {_LONGEST_S:.0f} s")
            time.sleep(0.05)
        return self.inner.open()
