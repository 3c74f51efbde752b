"""Text that YAML's readers take for something else: emitted files say the same to PyYAML and to Go's parsers.

PyYAML follows YAML 1.1 and Go's parsers a mixture of 1.1 and 1.2, so that `0X1F`, `.5` or `y` is text to one and a
number or a boolean to another. The set here is held against Go's rules as this file has them, and against Go's own
parsers where Go is on PATH and its modules are to be had.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.kubernetes.emit import to_yaml

GO = Path(__file__).with_name("go_yaml")
INF = (".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN")
CASES = [
    case(word)
    for word in (
        "y",
        "n",
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "null",
        "nil",
        "none",
        "nan",
        "inf",
        ".inf",
        ".nan",
    )
    for case in (str, str.capitalize, str.upper)
]
BARE = r"""
~ << = - -- --- ... . .. + +. -. ! &a *a ? %a @a `a | > , ' " \ \n [a] a: :a #a 'a' "a" {}
+.inf -.Inf +.NaN .NaN .iNF Infinity -Infinity tRue NuLL
0x 0X 0x1F 0X1F -0x1f +0X1F 0x_1F 0x1_F 0_x1 0_X7A 0__xFE 0xg 0x1p-2
0b1 0B1 0b -0b1 +0b101 0b_1 0b-1 0o7 0O7 0o -0o17 0o-23 017 0_17 08 09
0 -0 +0 00 1 +1 -1 1_000 -1_000 1__0 _1 1_ +_1 9223372036854775808 111111111111111111111111111111
1e3 1E3 1e+3 1e-3 1e e1 1. 1.5 1.5e3 .5 +.5 -.5 .5_0 ._5 .e1 1.e3 1e400
1:30 190:20:30 190:20:30.15 1:99 -1:30 +1:30 1: 12:34:56 0:0
2001-01-01 2001-1-1 2001-01-1 2001-12-14t21:59:43.10-05:00 1.2.3 v1.5 10.0.0.0/8 203.0.113.7 18.6
"""
SPACED = [
    *(
        "",
        "2001-12-14 21:59:43.10 -5",
        "2001-1-1 1:1:1",
        "--- a",
        "... b",
        "!!int 1",
        "- a",
        "? a",
        "{a: b}",
        "{{ a }}",
    ),
    *(" a", "a ", " ", "\ta", "a\t", "a\tb", "\t", "a\nb", "\na", "a\n", "a\n\n", "\n", " a\nb", "a\n b", "a \nb"),
    *("a\n\tb", "a\r\nb", "\r", "a: b", "a #b", "a\n---\nb", "---\na", "a\n...\nb", "# a\nb", "key: |\n  a", "\n a"),
    *("a\x85b", "\x85", "a\u2028b", "\u2029", "\ufeff", "\ufeffa", "a\ufeff\nb", "\x00", "\x07", "\x1b[0m", "\x7f"),
    *("\x80", "\xa0", "\u200b", "\u202e", "\U0001f600", "漢字", "x" * 5000, "k" * 130),
]
WORDS = [*CASES, *BARE.split(), *SPACED]
SAMPLE = random.Random(18)
ALPHABET = "0123456789xXbBoOeEpPfFaA+-._:~yYnNtTiIzZ"
CHANCE = ["".join(SAMPLE.choices(ALPHABET, k=SAMPLE.randint(1, 6))) for _ in range(20_000)]


def document(text: str) -> dict[str, Any]:
    """A text in every place that it may have."""
    return {"value": text, "list": [text], "key": {text: text}}


def of_go(text: str) -> bool:
    """Whether Go's parsers take a plain scalar for text, by the rules of yaml.v2 and yaml.v3 together (resolve.go)."""
    if text in (
        "",
        "~",
        "<<",
        *CASES[: CASES.index("nil")],
        *(f"{sign}{word}" for sign in ("", "+", "-") for word in INF),
    ):
        return False
    if text[0] not in "0123456789+-.":
        return True
    bare = text.replace("_", "")
    number = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?0[xX][0-9a-fA-F]+|[-+]?0[bBoO][-+]?[0-9]+"
    return not re.fullmatch(rf"({number})|[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([Tt ].*)?", bare)


def plain(text: str) -> list[str]:
    """The scalars of a document that stand there without quotes."""
    found = (token for token in yaml.scan(text, Loader=yaml.CSafeLoader) if isinstance(token, yaml.ScalarToken))
    return [token.value for token in found if token.plain]


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
def test_python_reads_what_was_written(loader: Any) -> None:
    for text in (*WORDS, *(CHANCE if loader is yaml.CSafeLoader else ())):
        assert yaml.load(to_yaml(document(text)), Loader=loader) == document(text), repr(text)


def test_what_stands_without_quotes_is_text_to_go() -> None:
    for text in (*WORDS, *CHANCE):
        said = set(plain(to_yaml(document(text)))) - {"value", "list", "key"}
        assert all(map(of_go, said)), f"{text!r} stands as {said}"


def test_the_rules_of_go_find_what_they_should() -> None:
    """The oracle above, on what PyYAML alone leaves plain."""
    bare = [text for text in WORDS if text in plain(yaml.safe_dump(text))]
    assert {"y", "n", "0X1F", "+.5", "1e3", "2001-1-1"} <= {text for text in bare if not of_go(text)}
    assert all(map(of_go, ("chat", "v1.5", "1.2.3", "10.0.0.0/8", "_1", "a1")))


NUMBERS = [0, -1, 2**53, 0.5, -1.5, 1e16, 1e-5, 1.5e300, True, False, None]


def test_numbers_stay_numbers() -> None:
    for value in NUMBERS:
        text = to_yaml({"value": value})
        assert yaml.load(text, Loader=yaml.CSafeLoader)["value"] == value
        assert "!!" not in text and "'" not in text and '"' not in text, text


def embedded(tree: Tree) -> dict[str, str]:
    """Every file of YAML in a ConfigMap, by where it is."""
    return {
        f"{entry}: {name}": text
        for entry in tree.of_kind("ConfigMap")
        for name, text in entry.doc.get("data", {}).items()
        if name.endswith((".yaml", ".yml"))
    }


def test_compiled_files_say_the_same_to_both(tree: Tree) -> None:
    """Objects, and files within them: a plain scalar is text to both, or to neither."""
    texts = {**tree.texts, **embedded(tree)}
    assert len(embedded(tree)) > 10
    for path, text in texts.items():
        if path.endswith((".yaml", ".yml")):
            resolver = yaml.SafeLoader("")
            for scalar in set(plain(text)):
                ours = resolver.resolve(yaml.ScalarNode, scalar, (True, False)) == "tag:yaml.org,2002:str"
                assert ours == of_go(scalar), f"{path}: {scalar!r}"


def go() -> Path:
    """Go's own parsers, built once; the test that asks is left out where they are not to be had."""
    program = shutil.which("go")
    if program is None:
        pytest.skip("needs Go on PATH")
    built = TOP / ".cache/go_yaml"
    environment = {**os.environ, "GOFLAGS": "-mod=readonly"}
    done = subprocess.run([program, "build", "-o", built, "."], cwd=GO, env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs Go's modules: {done.stderr.strip().splitlines()[-1]}")
    return built


def test_gos_own_parsers_read_what_was_written() -> None:
    texts = [*WORDS, *CHANCE]
    documents = json.dumps([to_yaml(document(text)) for text in texts] + [to_yaml({"value": one}) for one in NUMBERS])
    done = subprocess.run([go()], input=documents, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.strip("\n").split("\n")]
    for text, found in zip(texts, lines, strict=False):
        said = f"string {text}"
        expected = [["string key", [[said, said]]], ["string list", [said]], ["string value", said]]
        for parser, value in found.items():
            assert sorted(value, key=str) == expected, f"{parser}: {text!r}"
    for number, found in zip(NUMBERS, lines[len(texts) :], strict=True):
        for parser, ((_, value),) in found.items():
            assert not value.startswith("string"), f"{parser}: {number!r} is {value}"
