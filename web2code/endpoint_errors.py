"""What goes wrong with an endpoint, for those too who ask none and do without its client."""

from __future__ import annotations


class EndpointError(RuntimeError):
    """The endpoint as a whole does not work: refused, unknown model, no answer to anything."""


class Unanswered(ValueError):
    """A question without an answer that can be used; the message is one of a few phrases that can be counted."""
