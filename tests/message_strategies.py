"""Hypothesis strategies for every message, made from the same table as the codec."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as shape

from signaling.protocol.shapes import struct_of

MAX_ITEMS = 4
MAX_NUMBER = 2**53 - 1


def messages(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Valid messages of one type, optional members present or not."""
    struct = struct_of(cls)
    required = {f.name: _values(f.type) for f in struct.fields if f.required}
    optional = {f.name: _values(f.type) for f in struct.fields if not f.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda members: cls(**members))


def _ints(t: shape.IntType) -> st.SearchStrategy[int]:
    high = t.le if t.lt is None else t.lt - 1
    return st.integers(-MAX_NUMBER if t.ge is None else t.ge, MAX_NUMBER if high is None else high)


def _floats(t: shape.FloatType) -> st.SearchStrategy[float]:
    return st.floats(t.ge, t.le, allow_nan=False, allow_infinity=False)


def _texts(t: shape.StrType) -> st.SearchStrategy[str]:
    # Without halves of surrogate pairs, which no encoding may carry.
    alphabet = st.characters(codec="utf-8")
    return st.text(alphabet, min_size=t.min_length or 0, max_size=min(t.max_length or 64, 64))


def _bytes(t: shape.BytesType) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=t.min_length or 0, max_size=t.max_length or 64)


def _tuples(t: shape.VarTupleType) -> st.SearchStrategy[tuple[Any, ...]]:
    most = min(t.max_length or MAX_ITEMS, MAX_ITEMS)
    return st.lists(_values(t.item_type), min_size=t.min_length or 0, max_size=most).map(tuple)


_BY_TYPE = {
    shape.BoolType: lambda t: st.booleans(),
    shape.NoneType: lambda t: st.none(),
    shape.IntType: _ints,
    shape.FloatType: _floats,
    shape.StrType: _texts,
    shape.BytesType: _bytes,
    shape.LiteralType: lambda t: st.sampled_from(t.values),
    shape.StructType: lambda t: messages(t.cls),
    shape.VarTupleType: _tuples,
    shape.UnionType: lambda t: st.one_of([_values(option) for option in t.types]),
    shape.DictType: lambda t: st.dictionaries(
        _values(t.key_type), _values(t.value_type), max_size=MAX_ITEMS
    ),
}


def _values(type_: shape.Type) -> st.SearchStrategy[Any]:
    return _BY_TYPE[type(type_)](type_)
