"""The language CAPIO-CL: reads the file of a workflow and says what holds for each path. Knows nothing of a running workflow."""

from wrp.capio.language.patterns import Pattern
from wrp.capio.language.plan import FilePlan, Home
from wrp.capio.language.reading import empty, load, parse
from wrp.capio.language.workflow import Commit, Rule, Step, Workflow

__all__ = ["Commit", "FilePlan", "Home", "Pattern", "Rule", "Step", "Workflow", "empty", "load", "parse"]
