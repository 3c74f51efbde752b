"""A container as a process: its command, environment and user as the kubelet makes them, in a private root.

The root is this machine's own under an overlay that is the container's alone, with the Pod's volumes at their
mountPath. So programs are those that are installed here, and what a container writes outside of its volumes is
gone with it, or refused where its root is read-only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podrunner.images import Image
from podrunner.objects import Object, Pod, Unsupported
from podrunner.volumes import Volumes, content_of

REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True)
class Program:
    """What is started: all that does not depend on the layer that starts it."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    user: int
    group: int
    groups: tuple[int, ...]
    capabilities: tuple[str, ...]
    """What `add` names; nothing else stays in the bounding set once ALL is dropped."""
    drop_all: bool
    read_only: bool


def program_of(pod: Pod, container: Object, image: Image, volumes: Volumes) -> Program:
    """Raises LookupError where the environment names what is not there (yet)."""
    environment = _environment(pod, container, volumes)
    asked = [expand(word, environment) for word in container.get("command") or image.command]
    if not asked:
        raise Unsupported(f"Pod {pod.key}: container {container['name']} names no command, and its image has none")
    command = (*asked, *(expand(word, environment) for word in container.get("args", [])))
    context = {**pod.spec.get("securityContext", {}), **container.get("securityContext", {})}
    user = int(context.get("runAsUser", 0))
    if context.get("runAsNonRoot") and user == 0:
        raise Unsupported(f"Pod {pod.key}: container {container['name']} must not run as root, and no user is named")
    capabilities = context.get("capabilities", {})
    groups = {int(group) for group in context.get("supplementalGroups", [])}
    if "fsGroup" in context:
        groups.add(int(context["fsGroup"]))
    kept = {name: value for name, value in environment.items() if name not in image.drop_environment}
    return Program(
        command=command,
        environment={"PATH": image.search_path, "HOME": "/tmp", "HOSTNAME": hostname(pod), **kept},
        directory=container.get("workingDir", "/"),
        user=user,
        group=int(context.get("runAsGroup", 0)),
        groups=tuple(sorted(groups)),
        capabilities=tuple(name.lower() for name in capabilities.get("add", [])),
        drop_all="ALL" in capabilities.get("drop", []),
        read_only=bool(context.get("readOnlyRootFilesystem")),
    )


def hostname(pod: Pod) -> str:
    return str(pod.spec.get("hostname", pod.name))[:63]


def expand(text: str, environment: Mapping[str, str]) -> str:
    """$(NAME) becomes the variable's value, $$ a dollar; a name that is not there stays as it is."""

    def value(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return environment.get(match.group(1), match.group(0))

    return REFERENCE.sub(value, text)


def _environment(pod: Pod, container: Object, volumes: Volumes) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field not in source:
                continue
            one = volumes.objects.get(kind, pod.namespace, source[field]["name"])
            if one is None and not source[field].get("optional"):
                raise LookupError(f"{kind} {pod.namespace}/{source[field]['name']} is not there")
            values = content_of(one) if one else {}
            found |= {source.get("prefix", "") + key: value.decode() for key, value in values.items()}
    for variable in container.get("env", []):
        value = _value(pod, variable, volumes)
        if value is not None:
            found[variable["name"]] = expand(value, found) if "value" in variable else value
    return found


def _value(pod: Pod, variable: Object, volumes: Volumes) -> str | None:
    source: dict[str, Any] = variable.get("valueFrom", {})
    if not source:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        return volumes.field(pod, source["fieldRef"])
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if field in source:
            reference = source[field]
            one = volumes.objects.get(kind, pod.namespace, reference["name"])
            content = content_of(one) if one else {}
            if reference["key"] in content:
                return content[reference["key"]].decode()
            if reference.get("optional"):
                return None
            raise LookupError(f"{kind} {pod.namespace}/{reference['name']} has no {reference['key']}")
    raise Unsupported(f"Pod {pod.key}: variable {variable['name']}: {', '.join(source)}")


def as_user(program: Program, command: tuple[str, ...]) -> list[str]:
    """The command that becomes the container's user, drops what it drops, and runs."""
    become = ["setpriv", f"--reuid={program.user}", f"--regid={program.group}"]
    become.append(f"--groups={','.join(map(str, program.groups))}" if program.groups else "--clear-groups")
    become.append("--no-new-privs")
    if program.drop_all:
        kept = "".join(f",+{name}" for name in program.capabilities)
        become += [f"--bounding-set=-all{kept}", "--inh-caps=-all"]
    variables = [f"{name}={value}" for name, value in program.environment.items()]
    return [*become, "env", "-i", "--default-signal", f"--chdir={program.directory}", *variables, *command]


def root_script(
    root: Path,
    container: Object,
    volumes: Mapping[str, Path],
    image: Image,
    program: Program,
    files: Mapping[str, Path],
    laid: Path,
) -> str:
    """The shell script that lays a container's root and becomes the container. It runs as root in namespaces of
    its own (`unshare --mount --pid`). `files` are single files of this node by where they lie inside; something is
    written into `laid` once the root is whole."""
    inside = root / "root"
    layers = f"upperdir={quote(root)}/upper,workdir={quote(root)}/work"
    lines = [
        "set -eu",
        f"mount -t tmpfs -o mode=755 tmpfs {quote(root)}",
        f"mkdir {quote(root)}/upper {quote(root)}/work {quote(inside)}",
        f"mount -t overlay overlay -o lowerdir={quote(image.root)},{layers} {quote(inside)}",
        f"cd {quote(inside)}",
        "mkdir -p .old",
        # From here on paths are the container's own, its symbolic links among them; this machine's lie below /.old.
        "pivot_root . .old",
        "cd /",
        "mkdir -p /proc /sys /dev /run /tmp",
        "mount -t tmpfs -o mode=755 tmpfs /run",
        "mount -t proc proc /proc",
        "mount --rbind /.old/sys /sys",
        "mount -t tmpfs -o mode=755 tmpfs /dev",
        "mkdir /dev/shm /dev/pts && mount -t tmpfs -o mode=1777,size=64m tmpfs /dev/shm",
        "ln -s /proc/self/fd /dev/fd; ln -s /proc/self/fd/0 /dev/stdin",
        "ln -s /proc/self/fd/1 /dev/stdout; ln -s /proc/self/fd/2 /dev/stderr",
        # Programs may lie below a home directory that only its owner may enter.
        "chmod a+x /root",
    ]
    for name in DEVICES:
        lines += _bind(f"/dev/{name}", Path(f"/dev/{name}"), read_only=False)
    for where, source in image.binds.items():
        lines += _bind(where, source, read_only=True)
    mounts = sorted(container.get("volumeMounts", []), key=lambda one: len(Path(one["mountPath"]).parts))
    for mount in mounts:
        source = volumes[mount["name"]] / mount.get("subPath", "")
        lines += _bind(mount["mountPath"], source, read_only=bool(mount.get("readOnly")))
    for where, source in files.items():
        lines += [f"rm -f {quote(where)}", *_bind(where, source, read_only=False)]
    lines += [f"exec 9>{quote(f'/.old{laid}')}", "umount -l /.old", "rmdir /.old"]
    if program.read_only:
        lines.append("mount -o remount,bind,ro /")
    lines.append("echo laid >&9; exec 9>&-")
    lines.append(f"exec {shlex.join(as_user(program, program.command))}")
    return "\n".join(lines) + "\n"


def _bind(where: str, source: Path, read_only: bool) -> list[str]:
    """Lay a directory or file of this machine at a path of the container."""
    inside, outside = quote(where), quote(f"/.old{source}")
    make = f"mkdir -p {inside}" if source.is_dir() else f"mkdir -p {quote(Path(where).parent)} && touch {inside}"
    lines = [f"{make} && mount --bind {outside} {inside}"]
    return [*lines, f"mount -o remount,bind,ro {inside}"] if read_only else lines


def quote(path: Path | str) -> str:
    return shlex.quote(str(path))
