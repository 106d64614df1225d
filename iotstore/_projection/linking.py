"""Whether a projection belongs to a primary as both are now: told from the nonces that every batch leaves in both."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from iotstore._kinds.projecting import Attachment, Checkpoint

_RESTORED: Final = "the primary or the projection was restored, or has another history: their last batches don't meet"


class Link(NamedTuple):
    """What can be done next.

    ``build`` an empty projection, ``resume`` a build, go on from where both are (``linked``), put the keys of the last
    batch in again because it is not known in the primary (``replay``), or nothing but a ``rebuild`` for the *reason*.
    """

    state: Literal["build", "resume", "linked", "replay", "rebuild"]
    reason: str = ""


def judge(attachment: Attachment, checkpoint: Checkpoint | None, shape: str) -> Link:
    """What the notes in both stores say.

    A batch is noted in the projection in its own transaction, then in the primary when its rows are taken out. So the
    primary names the same batch, or, after a crash in between, the one before. Anything else never comes from a crash.
    """
    if checkpoint is None or checkpoint.state == "new":
        return Link("build")
    if checkpoint.identity != attachment.identity:
        return Link("rebuild", "it holds the graph of another store")
    if checkpoint.shape != shape:
        return Link("rebuild", "it was made with other kinds, or other edges between them, than are declared here")
    if attachment.nonce not in (checkpoint.nonce, checkpoint.previous):
        return Link("rebuild", _RESTORED)
    if checkpoint.state == "building":
        return Link("resume")
    return Link("linked" if attachment.nonce == checkpoint.nonce else "replay")
