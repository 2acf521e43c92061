"""`capio graph`: draws who talks to whom in a workflow, as text, JSON or Graphviz. Local."""

import json

from wrp.capio.commands.reading import workflow as read
from wrp.capio.language import drawing, graph as graphs


def graph(args):
    """Print the graph."""
    found = graphs.of(read(args))
    print(json.dumps(drawing.record(found), indent=1) if args.json else drawing.dot(found) if args.dot else drawing.text(found))
