"""The options that commands share to find a workflow's file and its folder. Reads the file, prints nothing."""

import os

from wrp.capio import language


def add_workflow(parser):
    """Add the file, --dir and --prefix."""
    parser.add_argument("file", metavar="workflow.json", help="the CAPIO-CL file")
    parser.add_argument("--dir", metavar="DIR", help="the folder that is watched (default: CAPIO_DIR, else the current one)")
    parser.add_argument("--prefix", metavar="PATH", help="what relative names in the file count from (default: the folder that is watched)")
    return parser


def workflow(args):
    """The Workflow that the arguments name."""
    return language.load(args.file, args.dir or os.environ.get("CAPIO_DIR") or os.getcwd(), args.prefix)
