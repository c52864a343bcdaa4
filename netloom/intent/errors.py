"""Errors as the Networking API answers them: a status, a type, and a message that names the field and the mend."""

from __future__ import annotations


class ApiError(Exception):
    """A request that cannot be served. Rendered as {"NeutronError": {"type", "message", "detail"}}."""

    def __init__(self, status: int, type: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.detail = detail


class ConversionError(ValueError):
    """A value of the wrong type, as against one that is out of bounds: the API answers another error type to it."""


def invalid_input(attribute: str, reason: str) -> ApiError:
    return ApiError(400, "HTTPBadRequest", f"Invalid input for {attribute}. Reason: {reason}.")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "HTTPBadRequest", message)


def not_found(name: str, id: str) -> ApiError:
    """The 404 of a resource: ("port", id) → PortNotFound."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    return ApiError(404, f"{camel}NotFound", f"{camel if '_' in name else name.capitalize()} {id} could not be found.")


def invalid_operation(reason: str, type: str = "InvalidInput") -> ApiError:
    """A request whose parts do not go together, or not with what is there."""
    return ApiError(400, type, f"Invalid input for operation: {reason.rstrip('.')}.")


def bad_resource(collection: str, reason: str) -> ApiError:
    return ApiError(400, "BadRequest", f"Bad {collection} request: {reason}.")


def conflict(type: str, message: str) -> ApiError:
    return ApiError(409, type, message)
