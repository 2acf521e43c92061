"""What goes with a run, from the workflow and from its record."""

import json

from wrp.capio import language
from wrp.capio.language import vanishing

_DOCUMENT = {"name": "flow", "permanent": ["d/keep*", "out"], "exclude": ["*.log"], "storage": {"memory": ["d/[ab]"], "fs": []}, "IO_Graph": [
    {"name": "w", "output_stream": ["d/*", "out", "x.log"], "streaming": [{"dirname": ["many"], "committed": "on_n_files", "n_files": 2, "mode": "no_update"},
                                                                         {"name": ["ruled?"], "committed": "on_close:2"}]},
    {"name": "r", "input_stream": ["d/*", "read"], "output_stream": []}]}
_GOES = {"d/a": True, "d/keep1": False, "out": False, "x.log": False, "many": True, "many/1": True, "ruled1": True, "ruled": False, "read": True, "else": False,
         "d/sub/b": True, "d/q.log": False}


def test_a_record_says_the_same_as_its_workflow():
    workflow = language.parse(_DOCUMENT, "/d[1]")
    again = vanishing.from_record(json.loads(json.dumps(vanishing.to_record(workflow))))
    for name, goes in _GOES.items():
        assert [vanishing.vanishes(found.look(f"/d[1]/{name}", what)) for found in (workflow, again) for what in (None, False)] == [goes] * 4, name
