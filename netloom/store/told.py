"""What the writer tells: of a batch, to whoever counts; of a store that fails, to who asked."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.intent.errors import ApiError

AGAIN_S = 1
"""After how many seconds a request that was not carried out is worth making again: another server writes by then."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A batch as it was sent to the store. `began_s`: second since 1970; `rows`: (revision, request id) of each."""

    began_s: float
    seconds: float
    rows: tuple[tuple[int, str], ...]
    failed: bool = False


def hear_nothing(commit: Commit) -> None:
    pass


def unavailable(reason: str) -> ApiError:
    text = f"The request was not carried out: {reason}. Try again later."
    return ApiError(503, "ServiceUnavailable", text, retry_after_s=AGAIN_S)


def unknown(reason: str) -> ApiError:
    return ApiError(
        503,
        "ServiceUnavailable",
        f"Whether the request was carried out is not known: {reason}. Look before trying again.",
        retry_after_s=AGAIN_S,
    )
