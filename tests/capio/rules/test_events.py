"""Events as JSON values and back."""

import json

import pytest

from wrp.capio.rules import events


@pytest.mark.parametrize("kind", events.KINDS.values(), ids=lambda kind: kind.__name__)
def test_an_event_comes_back_from_its_record(kind):
    needed = {"step": "w", "path": "/d/f", "source": "/d/g", "node": 1, "nbytes": 7, "process": 12, "waiter": 3, "description": "1:4", "name": "f",
              "reason": "cut", "at": 1.5, "code": 0, "signal": None}
    event = kind(**{name: value for name, value in needed.items() if name in kind.__dataclass_fields__})
    assert events.from_record(json.loads(json.dumps(events.to_record(event)))) == event
