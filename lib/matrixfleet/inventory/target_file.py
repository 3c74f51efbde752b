"""A target's file is data: the classes that it names and its own block of parameters, and nothing else.

Whoever may edit one file must not thereby choose what is run for it, or for whom. Kapitan itself ignores keys that
it does not know, takes any class, and runs what `parameters.kapitan` says: this refuses all of that before anything
is rendered. In plain `kapitan compile` the constant in inventory/classes/target.yml refuses `kapitan`, and the first
component of a target calls this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

import yaml

from matrixfleet.errors import Fault, did_you_mean

PLATFORM = "platform"
"""The name of a cluster's platform target."""
TAKEN = ("argocd",)
"""Folders of compiled/<cluster>/ that are no target's."""
BLOCKS = {True: ("cluster", "releases", "sizes", "platform"), False: ("matrix", "namespace")}
"""The blocks of parameters, of a platform target and of any other."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}
_WHERE = "expected inventory/targets/<cluster>/<name>.yml"


def place_faults(top: Path, path: Path, shown: str) -> Iterator[Fault]:
    """Faults of where a target's file is: its folder, its name, and links.

    top: inventory/targets
    """
    parts = path.relative_to(top).parts
    if len(parts) != 2:
        yield Fault(shown, 0, "", f"{_WHERE}, got {len(parts) - 1} folders")
        return
    for what, word in (("cluster", parts[0]), ("target", PurePath(parts[1]).stem)):
        if not _NAME.fullmatch(word):
            wanted = "a DNS label (lower case letters, digits and '-', 63 at most)"
            better = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:63]
            hint = f", did you mean {better}?" if better else ""
            yield Fault(shown, 0, "", f"the name of a {what} is the file's: expected {wanted}, got {word!r}{hint}")
    if PurePath(parts[1]).stem in TAKEN:
        yield Fault(
            shown, 0, "", f"the name {PurePath(parts[1]).stem!r} is taken: compiled/<cluster>/ has a folder of it"
        )
    for each in (path, path.parent):
        if each.is_symlink():
            yield Fault(shown, 0, "", f"{_WHERE} itself, got a symbolic link at {each.name}")


def shape_faults(root: yaml.Node | None, name: str, shown: str) -> Iterator[Fault]:
    """Faults of what a target's file sets.

    name: the target ("eu1.acme")
    """
    if not isinstance(root, yaml.MappingNode):
        if root is None:
            yield Fault(shown, 1, "", "expected a mapping with classes and parameters, got an empty file")
        return
    blocks = BLOCKS[name.rpartition(".")[2] == PLATFORM]
    yield from _reference_faults(root, shown)
    for key, value in root.value:
        word, line = str(key.value), key.start_mark.line + 1
        if word == "classes":
            yield from _class_faults(value, shown)
        elif word == "parameters":
            yield from _block_faults(value, blocks, shown)
        elif word.lstrip("~=") in (*blocks, "kapitan"):
            yield Fault(shown, line, word, f"nothing reads it here; expected it below parameters{_only(word)}")
        else:
            near = did_you_mean(word, ["classes", "parameters"])
            yield Fault(shown, line, word, f"expected classes and parameters alone in a target's file{near}")


_REFERENCES = 16
"""References in a target's file. Each may name a value that has others: what they become together grows by powers."""


def _reference_faults(root: yaml.Node, shown: str) -> Iterator[Fault]:
    found = [node.start_mark.line + 1 for node in _scalars(root) for _ in range(str(node.value).count("${"))]
    if len(found) > _REFERENCES:
        message = f"expected at most {_REFERENCES} references (${{a:b}}) in a target's file, got {len(found)}"
        yield Fault(shown, sorted(found)[_REFERENCES], "", message)


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Every scalar that is written, an alias's once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.ScalarNode):
            yield here
        elif isinstance(here, yaml.MappingNode):
            waiting += [inner for pair in here.value for inner in pair]
        elif isinstance(here, yaml.SequenceNode):
            waiting += here.value


def class_shape_faults(root: yaml.Node | None, shown: str) -> Iterator[Fault]:
    """Faults of what a class's file sets at its top."""
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        word, line = str(key.value), key.start_mark.line + 1
        if word == "classes":
            yield from _class_faults(value, shown)
        elif word != "parameters":
            near = did_you_mean(word, ["classes", "parameters"])
            yield Fault(shown, line, word, f"expected classes and parameters alone in a class's file{near}")
        elif not isinstance(value, yaml.MappingNode) and value.value:
            yield Fault(shown, line, word, "expected a mapping, got something else")


_TWO_READINGS = re.compile(
    r"[-+]?0[0-9_]+|[-+]?0[oxb][0-9a-fA-F_]+|[-+]?[0-9]+(_[0-9]+)+|[-+]?[0-9]+(:[0-5]?[0-9])+"
    r"|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|[yYnN]",
    re.ASCII,
)
"""Scalars that YAML 1.1 and YAML 1.2 read as different values: octal, hexadecimal, grouped and sexagesimal numbers,
and words for true and false (https://yaml.org/spec/1.2.2/ext/changes)."""


def ambiguous(node: yaml.Node, shown: str, key: str = "") -> Iterator[Fault]:
    """Faults of values that one reader of YAML takes for something else than another."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            word = str(name.value).lstrip("~=")
            yield from ambiguous(value, shown, word if key in ("", "parameters") else f"{key}.{word}")
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from ambiguous(value, shown, f"{key}[{index}]")
    elif isinstance(node, yaml.ScalarNode) and not node.style and _TWO_READINGS.fullmatch(node.value):
        hint = "a decimal number without zeros before it, true or false, or text in quotes"
        yield Fault(shown, node.start_mark.line + 1, key, f"expected {hint}, got {node.value}")


def _only(word: str) -> str:
    return "" if word != "kapitan" else ", and there not either: what runs is decided in inventory/classes/target.yml"


def _class_faults(value: yaml.Node, shown: str) -> Iterator[Fault]:
    line = value.start_mark.line + 1
    if not isinstance(value, yaml.SequenceNode):
        got = repr(value.value) if isinstance(value, yaml.ScalarNode) and value.value else "something else"
        hint = f"; did you mean [{value.value}]?" if isinstance(value, yaml.ScalarNode) and value.value else ""
        yield Fault(shown, line, "classes", f"expected a list, got {got}{hint}")
        return
    for index, item in enumerate(value.value):
        key, line = f"classes[{index}]", item.start_mark.line + 1
        if not isinstance(item, yaml.ScalarNode) or item.tag not in _PLAIN:
            yield Fault(shown, line, key, "expected a class's name, got something else")
        elif "${" in item.value:
            yield Fault(shown, line, key, f"expected a class by its name, got the reference {item.value!r}")


def _block_faults(value: yaml.Node, blocks: tuple[str, ...], shown: str) -> Iterator[Fault]:
    line = value.start_mark.line + 1
    if isinstance(value, yaml.ScalarNode) and not value.value:
        return
    if not isinstance(value, yaml.MappingNode):
        yield Fault(shown, line, "parameters", f"expected a mapping with {' or '.join(blocks)}, got something else")
        return
    for key, inner in value.value:
        word, line = str(key.value), key.start_mark.line + 1
        bare = word.lstrip("~=")
        if bare == "kapitan":
            message = "expected none in a target's file: what runs is decided in inventory/classes/target.yml"
            yield Fault(shown, line, word, message)
        elif bare in blocks and bare != word:
            yield Fault(
                shown, line, word, f"expected {bare}: a target adds to its classes and never replaces them whole"
            )
        elif word not in blocks:
            yield Fault(shown, line, word, f"unknown key{did_you_mean(word, blocks)}")
        else:
            yield from _value_faults(inner, word, shown)


def _value_faults(node: yaml.Node, key: str, shown: str) -> Iterator[Fault]:
    """Keys and values that YAML or reclass would read as something else than what is written."""
    line = node.start_mark.line + 1
    if node.tag not in _PLAIN:
        yield Fault(shown, line, key, f"expected plain YAML, got the tag {node.tag.removeprefix('tag:yaml.org,2002:')}")
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                yield Fault(shown, line, key, "expected a word as a key, got a list or a mapping")
                continue
            word = str(name.value)
            inner = f"{key}.{word.lstrip('~=')}"
            if name.tag not in _PLAIN:
                yield Fault(shown, line, key, f"expected keys written out, got {word!r}")
            elif word.startswith(("=", "~~")) or "${" in word:
                yield Fault(
                    shown, line, inner, f"expected a key, or ~ and a key to replace what classes set, got {word!r}"
                )
            else:
                yield from _value_faults(value, inner, shown)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _value_faults(value, f"{key}[{index}]", shown)
