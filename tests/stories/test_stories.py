"""Every story beside this file comes true."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.testing.stories import StoryError, run_story

STORIES = sorted(Path(__file__).parent.glob("*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    assert run_story(path.read_text()) > 0


def test_a_story_that_is_not_so_is_found() -> None:
    """A claim that does not hold fails, with its line and the way that the packet took."""
    told = STORIES[0].read_text()
    wrong = told + "then arrives at nobody\n"
    with pytest.raises(StoryError, match=r"line \d+: then arrives at nobody"):
        run_story(wrong)
