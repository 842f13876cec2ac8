"""Configuration files: a YAML mapping becomes a validated pydantic model, or one line that says what to correct.

A configuration is a subclass of `Config`. Its field declarations hold the types, ranges, choices and descriptions.
"""

import re
import types
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from metrics.util.errors import InputError, one_line, suggest
from metrics.util.files import read_bytes
from metrics.util.nesting import MAX_YAML, load_yaml

_NOUNS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
# PyYAML reads YAML 1.1, in which a float has a dot and a signed exponent: 1e-4 and 1.0e4 arrive as strings.
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


class Config(BaseModel):
    """Base class of configurations: immutable, without unknown fields, and strict (a bool is no int, "1" no number)."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _convert_exponents(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        numeric = {name for name, field in cls.model_fields.items() if _is_numeric(field.annotation)}
        exponents = [name for name in numeric & values.keys() if _EXPONENT.fullmatch(str(values[name]))]
        return {**values, **{name: float(values[name]) for name in exponents}}


@dataclass(frozen=True)
class OneOf:
    """Restricts a string field to `choices`, for example the keys of a table that other modules extend."""

    choices: Collection[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.choices:
            raise AssertionError
        return value


Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(text: str, where: str) -> Any:
    """Parse one YAML document; an `InputError` names `where`, the path or option that the text comes from."""
    try:
        return load_yaml(text)
    except ValueError as error:
        raise InputError(f"{where}: not YAML ({one_line(error)})") from None


def read_yaml(path: Path) -> dict[Any, Any]:
    """Read a YAML file; raise an `InputError` if it is missing, not UTF-8, not YAML, or not a mapping."""
    try:
        # A character takes four bytes at most.
        text = read_bytes(path, 4 * MAX_YAML).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not YAML (not UTF-8 at byte {error.start})") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a mapping of fields to values (key: value lines)")
    return values


def validate(model: type[Model], values: dict[Any, Any], where: str) -> Model:
    """Build a configuration from `values` by field name.

    Args:
        where: What error messages name: a file, or the kind and name of the configuration.

    Raises:
        InputError: An unknown or missing field, or a wrong value and what is allowed; or a validator's ValueError.
    """
    if unknown := sorted(str(name) for name in values if name not in model.model_fields):
        raise InputError(f"{where}: unknown field {', '.join(unknown)}{suggest(unknown[0], model.model_fields)}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(model, values, error)}") from None


def _explain(model: type[BaseModel], values: dict[Any, Any], error: ValidationError) -> str:
    """The first error as one line; missing fields are listed together."""
    errors = error.errors(include_url=False)
    if missing := [".".join(map(str, e["loc"])) for e in errors if e["type"] == "missing"]:
        return f"missing field {', '.join(sorted(missing))}"
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return f"unknown field {'.'.join(map(str, first['loc']))}"
    reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else ""
    # The location leads through nested models; after the innermost field it has members of unions and lists.
    field: FieldInfo | None = None
    names: list[str] = []
    inner: Any = model
    value: Any = values
    for part in first["loc"]:
        fields = inner.model_fields if isinstance(inner, type) and issubclass(inner, BaseModel) else {}
        if part not in fields:
            break
        field, value = fields[str(part)], value[part]
        names.append(str(part))
        inner = field.annotation
    if field is None or (reason and isinstance(value, dict)):
        return reason or first["msg"]
    shown = "null" if value is None else repr(value)
    return f"{'.'.join(names)} is {shown}; {reason or f'it must be {_describe(field.annotation, field.metadata)}'}"


def _describe(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a field takes, in words: "a number from 0 to 1 or null", "one of constant, linear"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        nested = [m.metadata if isinstance(m, FieldInfo) else [m] for m in arguments[1:]]
        return _describe(arguments[0], [*metadata, *(m for group in nested for m in group)])
    if origin in (typing.Union, types.UnionType):
        # Every whole number is a number.
        members = [m for m in arguments if not (m is int and float in arguments)]
        return " or ".join(_describe(m, () if m is type(None) else metadata) for m in members)
    choices = arguments if origin is typing.Literal else next((m.choices for m in metadata if isinstance(m, OneOf)), ())
    if choices:
        return f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else str(*choices)
    if origin in (list, tuple) and arguments:
        plural = {"a string": "strings", "a whole number": "whole numbers", "a number": "numbers"}
        inner = _describe(arguments[0])
        return f"a list of {plural.get(inner, inner)}"
    noun, bounds = _NOUNS.get(annotation, "a mapping"), _describe_bounds(metadata)
    return f"a finite {noun.removeprefix('a ')}" if annotation is float and not bounds else f"{noun}{bounds}"


def _describe_bounds(metadata: Sequence[Any]) -> str:
    bounds = {name: getattr(m, name) for m in metadata for name in ("ge", "gt", "le", "lt") if hasattr(m, name)}
    if bounds.keys() == {"ge", "le"}:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    return "".join(f" and {words[name]} {bound}" for name, bound in bounds.items()).removeprefix(" and")


def _is_numeric(annotation: Any) -> bool:
    members = typing.get_args(annotation) if typing.get_origin(annotation) is not typing.Literal else ()
    types_ = {annotation, *members, *(a for m in members for a in typing.get_args(m))}
    return float in types_ and str not in types_
