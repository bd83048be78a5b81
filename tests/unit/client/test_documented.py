"""Every public name of the Python SDK says what it is; the browser SDK's lint has the same rule."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import sealroute_client

SOURCES = Path(sealroute_client.__file__).parent
PUBLIC = {name: getattr(sealroute_client, name) for name in sealroute_client.__all__}


def undocumented(cls: type) -> Iterator[str]:
    """Public methods, properties and attributes of a class and of its bases in the SDK."""
    for owner in cls.__mro__:
        if not owner.__module__.startswith("sealroute_client"):
            continue
        source = SOURCES.parent / (owner.__module__.replace(".", "/") + ".py")
        (node,) = (
            node
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.ClassDef) and node.name == owner.__name__
        )
        if ast.get_docstring(node) is None:
            yield owner.__name__
        for member in node.body:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                is_public = not member.name.startswith("_")
                if is_public and ast.get_docstring(member) is None:
                    yield f"{owner.__name__}.{member.name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_and_its_methods_are_documented(name: str) -> None:
    value = PUBLIC[name]
    if inspect.isclass(value):
        assert list(undocumented(value)) == []
    else:
        assert inspect.getdoc(value)


def test_the_module_is_documented() -> None:
    assert len(PUBLIC) > 30
    assert inspect.getdoc(sealroute_client)
