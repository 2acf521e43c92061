"""Which of the files that a run makes go with it, and a workflow's say in that as a record, for who comes after a server that was killed."""

from wrp.capio.language.patterns import Pattern
from wrp.capio.language.workflow import Rule, Workflow

_PROPERTIES = ("kind", "permanent", "excluded", "producer", "consumer", "ruled")


def vanishes(plan):
    """True for the FilePlan of a file that goes with the run: declared, neither permanent nor excluded."""
    return bool(plan.producers or plan.consumers) and not plan.permanent and not plan.excluded


def stays(plan):
    """True for the FilePlan of a file that a run makes and that outlasts it by declaration."""
    return bool(plan.producers or plan.consumers) and plan.permanent and not plan.excluded


def to_record(workflow):
    """A value that JSON can say, of which `from_record` makes a Workflow whose plans vanish or stay as this one's do."""
    rules = [(rule, rule.pattern) for rule in workflow.rules if rule.property in _PROPERTIES]
    return [workflow.capio_dir, [[pattern.text, pattern.base, pattern.given, pattern.is_folder, rule.property, rule.value] for rule, pattern in rules]]


def from_record(record):
    capio_dir, rules = record
    return Workflow("", capio_dir, rules=tuple(Rule(Pattern(*words), name, value) for *words, name, value in rules))
