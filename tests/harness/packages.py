"""Packages with a module of a user, for processes that find them on their path."""


def make_package(folder, name, cls, source):
    """Put the package `name`, whose class `cls` is a module, into the folder."""
    (folder / f"{name}.py").write_text(source)
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[wrp.modules]\n{name} = {name}:{cls}\n")
