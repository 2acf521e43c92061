"""Labels of blobs: what a language model on an Ollama-style server says of them, kept beside them as `NAME_label`. The store itself calls nobody."""

from wrp.cae.labels.labels import Labelled, Labels, run
from wrp.cae.labels.rules import Rules, load

__all__ = ["Labelled", "Labels", "Rules", "load", "run"]
