#!/usr/bin/python3
"""Stands for WAL-G, which scenarios cannot install: its commands, options, environment, output and exit codes, as its
documentation has them (https://wal-g.readthedocs.io). It really stores, compressed and encrypted, in the bucket, and
restores; its format is its own. An option or a variable that it does not know is an error: what it is called with is
what WAL-G's documentation has.

It runs in the tenant's own containers, by the machine's Python, and calls rclone, openssl, tar and psql.
"""

import argparse
import datetime
import functools
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REQUIRED = {
    "WALG_S3_PREFIX": r"s3://[^/]+/.+",
    "AWS_REGION": r".+",
    "AWS_ENDPOINT": r"https://.+",
    "AWS_S3_FORCE_PATH_STYLE": r"true",
    "AWS_SHARED_CREDENTIALS_FILE": r"/.+",
    "WALG_LIBSODIUM_KEY_PATH": r"/.+",
    "WALG_LIBSODIUM_KEY_TRANSFORM": r"hex",
}
OPTIONAL = {
    "WALG_S3_CA_CERT_FILE": r"/.+",
    "WALG_COMPRESSION_METHOD": r"lz4|lzma|zstd|brotli",
    "WALG_DELTA_MAX_STEPS": r"\d+",
    "WALG_DELTA_ORIGIN": r"LATEST|LATEST_FULL",
    "WALG_PREVENT_WAL_OVERWRITE": r"true|false",
    "WALG_UPLOAD_CONCURRENCY": r"\d+",
    "WALG_DOWNLOAD_CONCURRENCY": r"\d+",
}
SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
NO_SUCH_FILE = 74
PER_LOG = 256
"""Segments of 16 MiB in what the second part of a name counts."""


def fail(text, code=1):
    print(f"ERROR: {text}", file=sys.stderr)
    sys.exit(code)


def settings():
    """The environment, as far as it is WAL-G's."""
    known = REQUIRED | OPTIONAL
    for name, value in os.environ.items():
        if name.startswith(("WALG_", "AWS_")) and not re.fullmatch(known.get(name, "(?!)"), value):
            fail(f"the setting {name}={value} is not known")
    for name in REQUIRED.keys() - os.environ.keys():
        fail(f"{name} is not set")
    if not re.fullmatch(r"[0-9a-f]{64}", Path(os.environ["WALG_LIBSODIUM_KEY_PATH"]).read_text().strip()):
        fail("key must be exactly 32 bytes")


def rclone(*arguments, data=None):
    """rclone's exit code and output; "directory not found" is no error of it."""
    remote = "RCLONE_CONFIG_BUCKET_"
    told = {
        "RCLONE_CONFIG": "/dev/null",
        remote + "TYPE": "s3",
        remote + "PROVIDER": "Other",
        remote + "ENDPOINT": os.environ["AWS_ENDPOINT"],
        remote + "REGION": os.environ["AWS_REGION"],
        remote + "ENV_AUTH": "true",
        remote + "SHARED_CREDENTIALS_FILE": os.environ["AWS_SHARED_CREDENTIALS_FILE"],
        remote + "NO_CHECK_BUCKET": "true",
    }
    if authority := os.environ.get("WALG_S3_CA_CERT_FILE"):
        told["SSL_CERT_FILE"] = authority
    command = ["rclone", "--retries=1", "--low-level-retries=2", "--contimeout=5s", *arguments]
    done = subprocess.run(command, input=data, env={**os.environ, **told}, capture_output=True, check=False)
    if done.returncode not in (0, 3):
        fail(done.stderr.decode().strip())
    return done.returncode, done.stdout


def at(*path):
    return "/".join(("bucket:" + os.environ["WALG_S3_PREFIX"].removeprefix("s3://"), *path))


def stored(folder):
    return sorted(rclone("lsf", at(folder))[1].decode().split())


def sealed(content, *, opened=False):
    """Encrypted, or decrypted."""
    key = "file:" + os.environ["WALG_LIBSODIUM_KEY_PATH"]
    command = ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-pass", key, *(["-d"] if opened else [])]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode:
        fail("decryption failed" if opened else done.stderr.decode())
    return done.stdout


def packed(content):
    return subprocess.run(["gzip", "-1"], input=content, capture_output=True, check=True).stdout


def unpacked(content):
    return subprocess.run(["gzip", "-d"], input=content, capture_output=True, check=True).stdout


def put(content, *path):
    with tempfile.NamedTemporaryFile() as file:
        file.write(sealed(packed(content)))
        file.flush()
        rclone("copyto", file.name, at(*path))


def get(*path):
    return unpacked(sealed(rclone("cat", at(*path))[1], opened=True))


def sql(query):
    return subprocess.run(["psql", "-XAtqc", query], capture_output=True, text=True, check=True).stdout.strip()


def number(segment):
    _, log, part = SEGMENT.fullmatch(segment).groups()
    return int(log, 16) * PER_LOG + int(part, 16)


def segments():
    """Those that are stored, without timeline histories."""
    return [name.removesuffix(".zst") for name in stored("wal_005") if SEGMENT.fullmatch(name.removesuffix(".zst"))]


def backups():
    """What a backup says of itself, oldest first."""
    names = [name for name in stored("basebackups_005") if name.endswith("_backup_stop_sentinel.json")]
    return sorted((json.loads(get("basebackups_005", name)) for name in names), key=lambda one: one["time"])


def wal_push(said):
    content, name = Path(said.file).read_bytes(), Path(said.file).name + ".zst"
    if os.environ.get("WALG_PREVENT_WAL_OVERWRITE") == "true" and name in stored("wal_005"):
        if get("wal_005", name) != content:
            fail(f"WAL file '{said.file}' already archived, contents differ, unable to overwrite")
        return
    put(content, "wal_005", name)


def wal_fetch(said):
    if said.name + ".zst" not in stored("wal_005"):
        fail(f"Archive '{said.name}' does not exist", NO_SUCH_FILE)
    Path(said.destination).write_bytes(get("wal_005", said.name + ".zst"))


def not_volatile(member):
    """What a base backup has: not the log, nor what is the running server's own."""
    path = member.name.removeprefix("./")
    gone = ("pg_wal/", "pg_replslot/", "pg_stat_tmp/", "pg_dynshmem/", "pg_notify/", "pg_subtrans/")
    return None if path.startswith(gone) or path in ("postmaster.pid", "postmaster.opts") else member


def add(archive, path, name):
    """A folder's content. A file that is gone meanwhile is in the log."""
    for one in sorted(path.iterdir()):
        inner = f"{name}/{one.name}"
        try:
            member = archive.gettarinfo(str(one), inner)
            if member is None or not_volatile(member) is None:
                continue
            if member.isreg():
                archive.addfile(member, io.BytesIO(one.read_bytes()[: member.size].ljust(member.size, b"\0")))
            else:
                archive.addfile(member)
                if member.isdir():
                    add(archive, one, inner)
        except FileNotFoundError:
            continue


def backup_push(said):
    there = backups()
    full = [one["backup_name"] for one in there if "_D_" not in one["backup_name"]]
    begun = now()
    session = subprocess.Popen(["psql", "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    session.stdin.write("SELECT pg_backup_start('wal-g', true);\n")
    session.stdin.flush()
    session.stdout.readline()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        add(archive, Path(said.directory), ".")
    # It waits until the last of its log is archived.
    label, _ = session.communicate("SELECT labelfile FROM pg_backup_stop();\n")
    first = re.search(r"\(file (\w{24})\)", label).group(1)
    name = f"base_{first}"
    if full and not said.full and int(os.environ.get("WALG_DELTA_MAX_STEPS", "0")):
        name += "_D_" + SEGMENT.search(full[-1]).group()
    put(content.getvalue(), "basebackups_005", name, "tar_partitions", "part_001.tar.zst")
    put(label.encode(), "basebackups_005", name, "backup_label.zst")
    sentinel = {
        "backup_name": name,
        "time": now(),
        "wal_file_name": first,
        "storage_name": "default",
        "start_time": begun,
        "finish_time": now(),
        "system_identifier": int(sql("SELECT system_identifier FROM pg_control_system()")),
    }
    put(json.dumps(sentinel).encode(), "basebackups_005", f"{name}_backup_stop_sentinel.json")


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def backup_list(said):
    short = ("backup_name", "time", "wal_file_name", "storage_name")
    found = [one if said.detail else {key: one[key] for key in short} for one in backups()]
    if found:
        printed(found)
    else:
        print("INFO: No backups found", file=sys.stderr)


def printed(value):
    print(json.dumps(value, separators=(",", ":")))


def backup_fetch(said):
    directory = Path(said.directory)
    if directory.exists() and any(directory.iterdir()):
        fail(f"Directory {directory} for delta base must be empty")
    names = [one["backup_name"] for one in backups()]
    name = names[-1] if said.name == "LATEST" and names else said.name
    if name not in names:
        fail(f"Backup '{name}' does not exist")
    content = get("basebackups_005", name, "tar_partitions", "part_001.tar.zst")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(directory)
    (directory / "backup_label").write_bytes(get("basebackups_005", name, "backup_label.zst"))
    for folder in ("pg_wal", "pg_replslot", "pg_stat_tmp", "pg_dynshmem", "pg_notify", "pg_subtrans"):
        (directory / folder).mkdir(mode=0o700, exist_ok=True)


def wal_show(said):
    found = []
    for timeline in sorted({name[:8] for name in segments()}):
        mine = sorted(name for name in segments() if name[:8] == timeline)
        there = {number(name) for name in mine}
        missing = sorted(set(range(min(there), max(there) + 1)) - there)
        lost = [f"{timeline}{one // PER_LOG:08X}{one % PER_LOG:08X}" for one in missing]
        status = "LOST_SEGMENTS" if lost else "OK"
        told = {"id": int(timeline, 16), "start_segment": mine[0], "end_segment": mine[-1], "missing_segments": lost}
        found.append({**told, "segments_count": len(mine), "status": status})
    printed(found)


def wal_verify(said):
    current = sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    there, done = {number(name) for name in segments()}, backups()
    first = number(done[0]["wal_file_name"]) if done else 1
    missing = set(range(first, number(current))) - there
    # The newest ones may be on their way.
    lost = [one for one in missing if any(later in there for later in range(one + 1, number(current)))]
    highest = max((int(name[:8], 16) for name in segments()), default=0)
    answer = {}
    if "integrity" in said.checks:
        answer["integrity"] = {"status": "FAILURE" if lost else "WARNING" if missing else "OK", "details": []}
    if "timeline" in said.checks:
        same = int(current[:8], 16) == highest
        details = {"current_timeline_id": int(current[:8], 16), "highest_storage_timeline_id": highest}
        answer["timeline"] = {"status": "OK" if same else "FAILURE", "details": details}
    printed(answer)


def delete(said):
    """`retain FULL n`: the newest n full ones, and all that came after the first of them."""
    done = backups()
    full = [one for one in done if "_D_" not in one["backup_name"]]
    if len(full) <= said.count:
        return
    oldest = full[-said.count]
    for one in done[: done.index(oldest)]:
        print(f"INFO: {one['backup_name']} will be deleted", file=sys.stderr)
        if said.confirm:
            rclone("deletefile", at("basebackups_005", f"{one['backup_name']}_backup_stop_sentinel.json"))
            rclone("purge", at("basebackups_005", one["backup_name"]))
    for name in segments():
        if said.confirm and number(name) < number(oldest["wal_file_name"]):
            rclone("deletefile", at("wal_005", name + ".zst"))


def main():
    parser = argparse.ArgumentParser("wal-g", allow_abbrev=False)
    command = functools.partial(parser.add_subparsers(required=True).add_parser, allow_abbrev=False)

    def known(name, function, *arguments):
        made = command(name)
        made.set_defaults(function=function)
        for words, options in arguments:
            made.add_argument(words, **options)

    flag = {"action": "store_true"}
    known("wal-push", wal_push, ("file", {}))
    known("wal-fetch", wal_fetch, ("name", {}), ("destination", {}))
    known("backup-push", backup_push, ("directory", {}), ("--full", flag))
    known("backup-fetch", backup_fetch, ("directory", {}), ("name", {}))
    known("backup-list", backup_list, ("--json", {**flag, "required": True}), ("--detail", flag))
    known("wal-show", wal_show, ("--without-backups", flag), ("--detailed-json", {**flag, "required": True}))
    checks = {"nargs": "+", "choices": ("integrity", "timeline")}
    known("wal-verify", wal_verify, ("checks", checks), ("--json", {**flag, "required": True}))
    retain, full = {"choices": ("retain",)}, {"choices": ("FULL",)}
    known("delete", delete, ("mode", retain), ("what", full), ("count", {"type": int}), ("--confirm", flag))
    said = parser.parse_args()
    settings()
    said.function(said)


main()
