"""Where a value was said.

Kapitan's backends name neither file nor line for a fault of meaning, and reclass-rs names no file for a
fault of YAML. This reads the same files with libyaml's node positions and follows the same chain of
classes, so that every fault and every `explain` can point at a line, and so that the last file that sets a
list wins (matrixfleet.model.merging). Each file is read once a process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from matrixfleet.errors import Fault, did_you_mean
from matrixfleet.inventory.target_file import ambiguous, class_shape_faults, place_faults, shape_faults

Key = tuple[str | int, ...]
"""A path into the parameters: ("matrix", "hosts", "element")."""

_REFERENCE = re.compile(r"(?<!\\)\$\{([^${}]+)\}")


@dataclass(frozen=True, slots=True)
class Said:
    """One place that sets a value."""

    file: str
    line: int
    text: str
    """The value as it is written there, or "" for a block."""
    sets: bool = True
    """Whether it sets something: null takes back what files before set."""


class _File:
    """One YAML file of the inventory, with positions."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        self.faults: list[Fault] = []
        self.root: yaml.Node | None = None
        try:
            self.root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        except OSError as error:
            self.faults.append(Fault(shown, 0, "", _unreadable(path, error)))
        except RecursionError:
            self.faults.append(Fault(shown, 0, "", f"expected at most {_DEEPEST} levels"))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 0
            what = ", ".join(filter(None, (error.context, error.problem)))
            self.faults.append(Fault(shown, line, "", f"YAML syntax: {what}; expected well-formed YAML"))
        except UnicodeDecodeError as error:
            self.faults.append(Fault(shown, 0, "", f"expected UTF-8 text, got byte {error.object[error.start]:#x}"))
        except yaml.YAMLError as error:
            what = " ".join(str(error).split())
            self.faults.append(Fault(shown, 0, "", f"YAML syntax: {what}; expected well-formed YAML"))
        excess = _excess(self.root) if self.root is not None else None
        if excess is not None:
            self.faults.append(Fault(shown, excess[0], "", excess[1]))
            self.root = None
        if self.root is not None:
            self.faults.extend(_duplicates(self.root, shown, ()))
            self.faults.extend(ambiguous(self.root, shown))
            if not isinstance(self.root, yaml.MappingNode):
                self.faults.append(Fault(shown, 1, "", "expected a mapping with classes and parameters"))
                self.root = None

    def entry(self, key: Key) -> tuple[yaml.Node, yaml.Node] | None:
        """The key's node and the value's node at a path from the file's top."""
        here: tuple[yaml.Node, yaml.Node] | None = None
        node = self.root
        for part in key:
            here = _child(node, part)
            if here is None:
                return None
            node = here[1]
        return here

    @cached_property
    def classes(self) -> tuple[tuple[str, int], ...]:
        """The classes it lists, with their lines."""
        entry = self.entry(("classes",))
        if entry is None or not isinstance(entry[1], yaml.SequenceNode):
            return ()
        items = (item for item in entry[1].value if isinstance(item, yaml.ScalarNode))
        return tuple((str(item.value), item.start_mark.line + 1) for item in items)

    @cached_property
    def references(self) -> tuple[tuple[Key, int, str], ...]:
        """Each `${a:b}` in it: where it stands, its line, and what it refers to."""
        found: list[tuple[Key, int, str]] = []

        def walk(node: yaml.Node | None, key: Key) -> None:
            if isinstance(node, yaml.ScalarNode):
                found.extend((key, node.start_mark.line + 1, ref) for ref in _REFERENCE.findall(str(node.value)))
            elif isinstance(node, yaml.MappingNode):
                for name, value in node.value:
                    walk(value, (*key, _bare(name)))
            elif isinstance(node, yaml.SequenceNode):
                for index, value in enumerate(node.value):
                    walk(value, (*key, index))

        entry = self.entry(("parameters",))
        walk(entry[1] if entry else None, ())
        return tuple(found)


def _unreadable(path: Path, error: OSError) -> str:
    """Why a file cannot be read, and what to do."""
    if path.is_dir():
        return "expected a file, got a folder; rename or remove it"
    if path.name.startswith(".#") or (path.is_symlink() and not path.exists()):
        return "expected a file, got a link to nothing; an editor's lock goes when the file there is saved or closed"
    return f"cannot be read: {error.strerror}"


_DEEPEST, _LARGEST = 60, 100_000


def _excess(root: yaml.Node) -> tuple[int, str] | None:
    """Line and message where aliases make a file endless, deep or large: whatever walks it would not return."""
    sizes: dict[int, int] = {}
    path: set[int] = set()

    def walk(node: yaml.Node, depth: int) -> tuple[int, str] | None:
        line = node.start_mark.line + 1
        if id(node) in path:
            return line, "expected a finite document, got an alias within its own anchor"
        if depth > _DEEPEST:
            return line, f"expected at most {_DEEPEST} levels"
        if id(node) in sizes or not isinstance(node, yaml.CollectionNode):
            return None
        path.add(id(node))
        size = 1
        for pair in node.value:
            for inner in pair if isinstance(pair, tuple) else (pair,):
                found = walk(inner, depth + 1)
                if found is not None:
                    return found
                size += sizes.get(id(inner), 1)
        path.discard(id(node))
        sizes[id(node)] = size
        return (line, f"expected at most {_LARGEST} values, aliases written out") if size > _LARGEST else None

    return walk(root, 0)


def _bare(node: yaml.Node) -> str:
    # reclass marks a key with ~ (replace) or = (constant); the key is what follows.
    return str(node.value).lstrip("~=")


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((name, value) for name, value in node.value if _bare(name) == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _duplicates(node: yaml.Node, shown: str, key: Key) -> Iterator[Fault]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            # Below a block: what replaces a whole block is told otherwise (target_file.py).
            line, word = name.start_mark.line + 1, _bare(name) if len(key) > 1 else str(name.value)
            if word in seen:
                yield Fault(
                    shown,
                    line,
                    dotted((*key, word)),
                    f"duplicate key, first set on line {seen[word]}; expected once, remove one of them",
                )
            seen.setdefault(word, line)
            yield from _duplicates(value, shown, (*key, word))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicates(value, shown, (*key, index))


def dotted(key: Key) -> str:
    """`matrix.turn.relay_ports.first`, `cluster.edge.peers[0]`; `parameters.` at the front is left out."""
    if key and key[0] == "parameters":
        key = key[1:]
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


class Source:
    """The files of one inventory folder."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        self._file = cache(self._read)

    def _shown(self, path: Path) -> str:
        # Relative to the repository's top, as an editor or a reviewer names it.
        return str(path.relative_to(self.inventory.parent))

    def _read(self, path: Path) -> _File:
        return _File(path, self._shown(path))

    def _files(self, folder: str) -> list[Path]:
        return sorted(path for path in (self.inventory / folder).rglob("*") if path.suffix in (".yml", ".yaml"))

    @cached_property
    def target_files(self) -> dict[str, Path]:
        """Target name ("eu1.acme") to its file."""
        top = self.inventory / "targets"
        return {".".join(path.relative_to(top).with_suffix("").parts): path for path in self._files("targets")}

    @cached_property
    def class_files(self) -> dict[str, Path]:
        """Class name ("size.small") to its file."""
        top = self.inventory / "classes"
        files = self._files("classes")
        names: dict[str, Path] = {}
        for path in files:
            parts = path.relative_to(top).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "init" and len(parts) > 1 else parts)] = path
        return names

    @cached_property
    def config(self) -> dict[str, Any]:
        """What reclass-config.yml sets, as Kapitan hands it to reclass-rs."""
        path = self.inventory / "reclass-config.yml"
        return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader) if path.is_file() else {}

    def _mapped(self, target: str) -> Iterator[str]:
        """The classes that every such target has before those that it names (`class_mappings`)."""
        for mapping in self.config.get("class_mappings", ()):
            pattern, *classes = mapping.split()
            if re.search(pattern.strip("/"), target):
                yield from classes

    def _chain(self, path: Path, seen: set[Path]) -> Iterator[Path]:
        for name, _ in self._file(path).classes:
            used = self.class_files.get(name)
            if used is not None and used not in seen:
                seen.add(used)
                yield from self._chain(used, seen)
        yield path

    def chain(self, target: str) -> tuple[Path, ...]:
        """The files that make a target, in the order in which they are merged: the last one wins."""
        path = self.target_files.get(target)
        if path is None:
            return ()
        seen: set[Path] = set()
        files: list[Path] = []
        for name in self._mapped(target):
            used = self.class_files.get(name)
            if used is not None and used not in seen:
                seen.add(used)
                files.extend(self._chain(used, seen))
        return (*files, *self._chain(path, seen))

    def classes_below(self, target: str, folder: str) -> list[tuple[str, str, int]]:
        """The classes of a folder that a target has by a file outside of that folder, with file and line. A class
        there may build on another one."""
        found: dict[str, tuple[str, str, int]] = {}
        for path in self.chain(target):
            if path.parent != self.inventory / "classes" / folder:
                for name, line in self._file(path).classes:
                    if name.startswith(f"{folder}."):
                        found.setdefault(name, (name, self._shown(path), line))
        return list(found.values())

    def classes_of(self, target: str) -> tuple[tuple[str, int], ...]:
        """The classes that a target's own file names, with their lines."""
        return self._file(self.target_files[target]).classes

    def target_faults(self, target: str) -> Iterator[Fault]:
        """What makes a target's file more than data."""
        path = self.target_files[target]
        file = self._file(path)
        if not path.is_file():
            yield from file.faults
            return
        yield from place_faults(self.inventory / "targets", path, file.shown)
        yield from file.faults or shape_faults(file.root, target, file.shown)

    def nodes(self, target: str, key: Key) -> list[tuple[Path, yaml.Node, yaml.Node]]:
        """Every file that sets a key, with the key's node and the value's, in the order of merging."""
        found = ((path, self._file(path).entry(("parameters", *key))) for path in self.chain(target))
        return [(path, *entry) for path, entry in found if entry is not None]

    def said(self, target: str, key: Key) -> list[Said]:
        """Every place that sets a key, in the order of merging."""
        found = []
        for path, name, value in self.nodes(target, key):
            text = str(value.value) if isinstance(value, yaml.ScalarNode) else ""
            sets = value.tag != "tag:yaml.org,2002:null"
            found.append(Said(self._shown(path), name.start_mark.line + 1, text if sets else "null", sets))
        return found

    def shown(self, target: str) -> str:
        """A target's file, as people name it."""
        path = self.target_files.get(target)
        return self._shown(path) if path else f"inventory/targets/{target.replace('.', '/')}.yml"

    def file_faults(self) -> list[Fault]:
        """What is wrong with the files themselves: syntax, duplicate keys, classes that do not exist."""
        faults = [*self._place_faults(), *(fault for name in self.target_files for fault in self.target_faults(name))]
        known = list(self.class_files)
        for path in (*self.target_files.values(), *self.class_files.values()):
            file = self._file(path)
            faults.extend(file.faults)
            faults.extend(
                Fault(
                    file.shown,
                    line,
                    "classes",
                    f"no class {name!r} in inventory/classes{did_you_mean(name, known)}",
                )
                for name, line in file.classes
                if name not in self.class_files and "${" not in name
            )
        return faults

    def _place_faults(self) -> Iterator[Fault]:
        """Faults of where files are: two of one name, copies that no name refers to, files that nobody reads."""
        for folder, files in (("targets", self.target_files), ("classes", self.class_files)):
            for path in sorted(set(self._files(folder)) - set(files.values())):
                yield Fault(self._shown(path), 0, "", "another file has the same name; expected one, remove the other")
        for path in self.class_files.values():
            bad = [part for part in path.relative_to(self.inventory / "classes").with_suffix("").parts if "." in part]
            if bad and not path.name.startswith(".#"):
                message = f"expected the name of a class without dots, got {bad[0]!r}"
                yield Fault(self._shown(path), 0, "", f"{message}; rename the file, or remove a copy")
            else:
                yield from class_shape_faults(self._file(path).root, self._shown(path))
        for path in sorted(self.inventory.glob("*.y*ml")):
            if path.name != "reclass-config.yml":
                wanted = "expected it below inventory/classes or in inventory/targets/<cluster>"
                yield Fault(self._shown(path), 0, "", f"nothing reads it here; {wanted}")
            else:
                yield from self._file(path).faults

    def reference_faults(self) -> list[Fault]:
        """References `${a:b}` to what nothing in the target's chain sets."""
        faults: set[Fault] = set()
        for target in self.target_files:
            files = [self._file(path) for path in self.chain(target)]
            for file in files:
                for key, line, reference in file.references:
                    path = tuple(reference.split(":"))
                    if path[0] == "_reclass_" or any(other.entry(("parameters", *path)) for other in files):
                        continue
                    near = [":".join(map(str, found)) for found in self._siblings(files, path)]
                    said = f"${{{reference}}} refers to nothing that {target} sets"
                    faults.add(Fault(file.shown, line, dotted(key), said + did_you_mean(reference, near)))
        return sorted(faults)

    @staticmethod
    def _siblings(files: list[_File], path: Key) -> Iterator[Key]:
        for file in files:
            block = file.entry(("parameters", *path[:-1]))
            if block is not None and isinstance(block[1], yaml.MappingNode):
                yield from ((*path[:-1], _bare(name)) for name, _ in block[1].value)
