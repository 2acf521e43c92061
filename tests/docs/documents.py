"""The documents and their marked blocks: ``<!-- runs -->`` or ``<!-- file: NAME -->`` in the line before a fence."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^<!-- (runs|file: (?P<file>\S+)) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block. ``file`` is its name when it is to be written rather than run."""

    document: str
    line: int
    language: str
    text: str
    file: str = ""

    def commands(self):
        """The commands of a console block, without their prompts."""
        return [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]


def paths():
    """All Markdown documents of the tree that users read."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]


def everything():
    """The text of all documents."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths())


def blocks(path):
    """The marked blocks of a document in their order."""
    text = path.read_text(encoding="utf-8")
    return [Block(path.name, text.count("\n", 0, match.start()) + 1, match["language"], match["text"], match["file"] or "")
            for match in _BLOCK.finditer(text)]
