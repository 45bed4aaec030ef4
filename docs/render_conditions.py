"""Renders docs/conditions.md from the API's own tables (`python docs/render_conditions.py`); a test holds them equal."""

from pathlib import Path

from penstock.api.changes import CHANGES, Change
from penstock.api.reasons import Reason

PAGE = Path(__file__).parent / "conditions.md"

_HEAD = """# Conditions, reasons, and what a change of the spec does

<!-- Made from operator/penstock/api by `python docs/render_conditions.py`; edit there. -->

`kubectl get mdep` shows the reason of the condition that matters most; `kubectl describe mdep NAME` shows all conditions
with their messages, which name the object, the number or the field at fault. What each reason means and what to do next:

| reason | what it means, what to do |
|---|---|
"""

_CHANGES = """
## What a change of a field does

`rollout.stickiness` and `rollout.holdback` are refused at apply in this version.

| field below `spec` | a change of it |
|---|---|
"""

_MEANING = {
    Change.NEW_REVISION: "makes a new revision, which is released",
    Change.FROZEN: "counts from the next release on; one under way keeps the old value",
    Change.NOW: "takes effect at once, also in the middle of a release",
}


def page() -> str:
    """The page as it should be."""
    reasons = "".join(f"| `{reason.value}` | {reason.advice} |\n" for reason in Reason)
    changes = "".join(f"| `{field}` | {_MEANING[change]} |\n" for field, change in CHANGES.items())
    return _HEAD + reasons + _CHANGES + changes


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
