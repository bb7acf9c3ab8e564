"""The base of every value that a person writes down: frozen, checked, with errors in words."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self, Union

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ces_ml.errors import CesError, SpecError, did_you_mean, show

__all__ = ["SpecModel"]

#: What pydantic calls by the names of Python, in the words of YAML.
_SHAPES = {
    "tuple_type": "a list, also of one: - … or [ … ]",
    "list_type": "a list, also of one: - … or [ … ]",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "string_type": "text",
    "bool_type": "true or false",
}


class SpecModel(BaseModel):
    """A frozen record whose keys and values are checked when it is made.

    Unknown keys are refused with the nearest valid one. Errors are `SpecError` (a `ValueError`).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        validate_by_name=True,
        serialize_by_alias=True,
    )
    error_class: ClassVar[type[CesError]] = SpecError
    #: What the record is called in messages, where its class is not what people wrote.
    called: ClassVar[str] = ""

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _in_words(error, type(self)) from None

    @field_validator("*", mode="after")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        """Refuse text that no file can hold (half of a surrogate pair)."""
        parts = value if isinstance(value, tuple | dict) else (value,)
        for part in parts:
            if isinstance(part, str) and not _is_unicode(part):
                raise SpecError(
                    "the text is not valid Unicode",
                    got=show(part),
                    allowed="text that can be written as UTF-8",
                    hint="read the source with its right encoding",
                )
        return value

    @classmethod
    def parse(cls, data: object) -> Self:
        """Make the record from a mapping, as read from YAML or JSON.

        Raises
        ------
        SpecError
            With the path of the key, what was got, what is allowed, and what to do.
        """
        _check_keys(data, cls)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise _in_words(error, cls) from None


def _in_words(error: ValidationError, model: type[SpecModel]) -> CesError:
    """Turn the first finding of pydantic into a four-part error."""
    found = error.errors(include_url=False)
    # A misspelt key shows up twice: as unknown and as missing. The first says more.
    first = next((f for f in found if f["type"] == "extra_forbidden"), found[0])
    where = _path(first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, CesError):
        prefix = f"{where}: " if where else ""
        return type(cause)(
            prefix + cause.problem, got=cause.got, allowed=cause.allowed, hint=cause.hint
        )
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        fields = _fields_at(model, first["loc"][:-1])
        parent = _path(first["loc"][:-1])
        return model.error_class(
            f"unknown key in {parent or model.called or model.__name__}",
            got=show(key),
            allowed=did_you_mean(key, fields),
            hint="correct or remove the key",
        )
    if first["type"] == "missing":
        return model.error_class(
            f"{where} is missing",
            got="no value",
            allowed=f"a value for {where}",
            hint=f"add {where}",
        )
    if first["type"] == "literal_error":
        options = [o.strip("'") for o in first["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return model.error_class(
            f"{where} has a value that is not allowed",
            got=show(first["input"]),
            allowed=did_you_mean(str(first["input"]), options),
            hint="correct the value",
        )
    allowed = _SHAPES.get(first["type"], first["msg"][0].lower() + first["msg"][1:])
    return model.error_class(
        f"{where or model.__name__} has a value that is not allowed",
        got=show(first["input"]),
        allowed=allowed,
        hint="correct the value",
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_keys(data: object, model: type[SpecModel], loc: tuple[int | str, ...] = ()) -> None:
    """Refuse keys that are not text: YAML reads ``1:`` as a number and ``no:`` as false."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if not isinstance(key, str):
                raise model.error_class(
                    f"a key in {_path(loc) or model.called or model.__name__} is not text",
                    got=show(key),
                    allowed="keys that are text",
                    hint="put the key in quotes",
                )
            _check_keys(value, model, (*loc, key))
    elif isinstance(data, list | tuple):
        for k, value in enumerate(data):
            _check_keys(value, model, (*loc, k))


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed at `loc`, following nested models."""
    current: type[BaseModel] | None = model
    for part in loc:
        if current is None or isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        current = _model_in(field.annotation) if field else None
    return [f.alias or name for name, f in current.model_fields.items()] if current else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (Union, types.UnionType, tuple, list):
        for inner in typing.get_args(annotation):
            found = _model_in(inner)
            if found:
                return found
    return None
