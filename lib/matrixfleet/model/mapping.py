"""Templates that Synapse evaluates: which of Jinja's syntax a tenant may write.

Synapse renders a provider's mapping with a plain `jinja2.Environment` (synapse/handlers/oidc.py, `env`), which is no
sandbox: a template there can call whatever it reaches, in the process that holds the signing key. So templates are
parsed here with Jinja's own parser, and only nodes that are named below pass: what is not known is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from matrixfleet.model.types import expected, unseen

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

LONGEST = 500
"""Characters of a template."""
MOST_GROWTH = 64
"""Times that its filters may lengthen a claim."""
FILTERS = {
    "capitalize": 0,
    "default": 2,
    "first": 0,
    "join": 1,
    "last": 0,
    "localpart_from_email": 0,
    "lower": 0,
    "replace": 2,
    "title": 0,
    "trim": 1,
    "upper": 0,
}
"""Filters that take text or a list and give text, with how many arguments each takes, literals but for `default`:
Jinja's own, and Synapse's `localpart_from_email`. `attr`, `map`, `select`, `format` and their like reach attributes by
name."""
TESTS = ("defined", "none", "undefined")
ALLOWED = (
    f"user.claim, user['claim'], text in quotes, ~, and, or, not, comparisons, if, and the filters {', '.join(FILTERS)}"
)
# A claim by its name; a claim of OpenID may be a URL (OpenID Connect Core 1.0, 5.1.2).
_CLAIM = re.compile(r"[A-Za-z][A-Za-z0-9_.:/#?=@-]{0,127}")
_COMPARISONS = ("eq", "ne", "in", "notin", "lt", "lteq", "gt", "gteq")


class _Harmful(Exception):
    """What was found in a template that is not allowed, as people name it."""


@cache
def _environment() -> Environment:
    """As Synapse's, but that nothing is rendered here."""
    from jinja2 import Environment

    return Environment()


@cache
def _of_python(person: bool) -> frozenset[str]:
    """Names that are Python's on a person, which is a dict, or on a claim, and no claim's: methods, which print as
    <built-in method ...>, and what jinja2.sandbox calls unsafe."""
    from jinja2 import sandbox

    unsafe = (
        sandbox.UNSAFE_GENERATOR_ATTRIBUTES
        | sandbox.UNSAFE_COROUTINE_ATTRIBUTES
        | sandbox.UNSAFE_ASYNC_GENERATOR_ATTRIBUTES
    )
    kinds = (dict,) if person else (dict, list, str)
    return frozenset(unsafe) | {name for kind in kinds for name in dir(kind)} | {"mro"}


def _claim(name: object, of: nodes.Node) -> None:
    from jinja2 import nodes

    if not isinstance(of, nodes.Name | nodes.Getattr | nodes.Getitem):
        raise _Harmful("an attribute of something else than user")
    if isinstance(name, str) and name.startswith("_"):
        raise _Harmful(f"the name {name!r}, which begins with _,")
    if not isinstance(name, str) or not _CLAIM.fullmatch(name):
        raise _Harmful(f"the claim {name!r}")
    if name in _of_python(person=isinstance(of, nodes.Name)):
        raise _Harmful(f"{name!r}, which is a method of Python's and no claim,")


def _statement(node: nodes.Node) -> Iterator[nodes.Node]:
    """The expressions and statements inside of a statement that is allowed. Raises _Harmful."""
    from jinja2 import nodes

    if isinstance(node, nodes.Output):
        yield from node.nodes
    elif isinstance(node, nodes.If):
        yield from (node.test, *node.body, *node.elif_, *node.else_)
    else:
        raise _Harmful(_STATEMENTS.get(type(node).__name__, f"{{% {type(node).__name__.lower()} %}}"))


_STATEMENTS = {
    "For": "a loop ({% for %})",
    "Assign": "{% set %}",
    "AssignBlock": "{% set %}",
    "FromImport": "{% import %}",
    "CallBlock": "{% call %}",
}
_EXPRESSIONS = {
    "Call": "a call",
    "Pow": "**",
    "Mul": "*",
    "Mod": "%",
    "Slice": "a slice",
    "Dict": "a mapping in braces",
}


def _expression(node: nodes.Node) -> Iterator[nodes.Node]:
    """The expressions inside of one that is allowed. Raises _Harmful."""
    from jinja2 import nodes

    if isinstance(node, nodes.TemplateData):
        pass
    elif isinstance(node, nodes.Const):
        if isinstance(node.value, str):
            _line(node.value)
        elif not isinstance(node.value, bool | None) and not (type(node.value) is int and abs(node.value) < 10_000):
            raise _Harmful(f"the number {node.value}"[:60])
    elif isinstance(node, nodes.Name):
        if node.name != "user" or node.ctx != "load":
            raise _Harmful(f"the name {node.name!r}")
    elif isinstance(node, nodes.Getattr):
        _claim(node.attr, node.node)
        yield node.node
    elif isinstance(node, nodes.Getitem):
        if not isinstance(node.arg, nodes.Const):
            raise _Harmful("a slice, or a name in brackets that is no literal,")
        index = type(node.arg.value) is int and 0 <= node.arg.value < 100
        _claim("number" if index else node.arg.value, node.node)
        yield node.node
    elif isinstance(node, nodes.Filter):
        _filter(node)
        yield from (node.node, *node.args) if node.node else ()
    elif isinstance(node, nodes.Test):
        if node.name not in TESTS or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise _Harmful(f"the test {node.name!r}")
        yield node.node
    elif isinstance(node, nodes.Compare):
        if any(one.op not in _COMPARISONS for one in node.ops):
            raise _Harmful("a comparison")
        yield from (node.expr, *(one.expr for one in node.ops))
    elif isinstance(node, nodes.Concat):
        yield from node.nodes
    elif isinstance(node, nodes.And | nodes.Or):
        yield from (node.left, node.right)
    elif isinstance(node, nodes.Not):
        yield node.node
    elif isinstance(node, nodes.CondExpr):
        yield from (node.test, node.expr1, *([node.expr2] if node.expr2 else []))
    else:
        kind = type(node).__name__
        raise _Harmful(_EXPRESSIONS.get(kind, f"the expression {kind}"))


def _filter(node: nodes.Filter) -> None:
    from jinja2 import nodes

    if node.name not in FILTERS or node.node is None:
        raise _Harmful(f"the filter {node.name!r}")
    literals = all(isinstance(one, nodes.Const) and isinstance(one.value, str | bool) for one in node.args)
    if (
        not (literals or node.name == "default")
        or len(node.args) > FILTERS[node.name]
        or node.kwargs
        or node.dyn_args
        or node.dyn_kwargs
    ):
        many = FILTERS[node.name]
        wanted = f"takes {f'{many} at most, in quotes' if many else 'none'}"
        raise _Harmful(f"the filter {node.name!r} with other arguments (it {wanted})")
    if node.name == "replace" and (len(node.args) != 2 or not _text(node.args[0])):
        raise _Harmful("the filter 'replace' without the text that it looks for")


def _text(node: nodes.Node) -> str:
    return str(getattr(node, "value", ""))


def _line(text: str) -> None:
    if unseen(text):
        raise _Harmful(f"{text!r}, which holds what nobody sees,")


def _growth(node: nodes.Filter) -> int:
    """How many times longer it makes what it is given: `replace` lengthens, `join` puts text between."""
    if node.name == "replace":
        old, new = map(_text, node.args)
        return -(-max(len(new), len(old)) // len(old))
    return 1 + len(_text(node.args[0])) if node.name == "join" and node.args else 1


def harmless(template: str) -> str:
    """A template of which nothing is evaluated but what is named above. Raises what pydantic takes for a fault."""
    from jinja2 import TemplateSyntaxError, nodes

    if not template or len(template) > LONGEST:
        raise expected(f"a template of 1 to {LONGEST} characters", f"{len(template)} characters")
    if hidden := unseen(template):
        raise expected("a template in one line of visible text", template, hidden)
    try:
        tree = _environment().parse(template)
        growth, waiting = 1, [(_statement, one) for one in tree.body]
        while waiting:
            allowed, node = waiting.pop()
            for inner in allowed(node):
                waiting.append((_statement if isinstance(inner, nodes.Stmt) else _expression, inner))
            if isinstance(node, nodes.Filter):
                growth *= _growth(node)
        if growth > MOST_GROWTH:
            raise _Harmful(f"filters that make a claim {growth} times longer ({MOST_GROWTH} at most)")
    except TemplateSyntaxError as error:
        raise expected(f"a Jinja template of {ALLOWED}", template, f"Jinja: {error.message}") from error
    except RecursionError as error:
        raise expected(f"a Jinja template of {ALLOWED}", template[:40], "it is nested too deeply") from error
    except _Harmful as harmful:
        hint = "; for the part of an address before the @ say | localpart_from_email" if ".split(" in template else ""
        wanted = f"a Jinja template of {ALLOWED}, since Synapse evaluates it beside the signing key"
        raise expected(wanted, template, f"{harmful} is not allowed{hint}") from harmful
    return template


Template = Annotated[str, AfterValidator(harmless)]
"""A Jinja template over `user`, a person's claims."""
