"""Personal data taken out of a sample; a page that held some is to be rendered again, so that picture and HTML fit."""

from __future__ import annotations

from dataclasses import replace

from web2code.data.pii import scrub
from web2code.data.sample import Render, Sample


def scrub_sample(sample: Sample) -> Sample:
    """The sample with every text scrubbed."""
    messages = tuple(replace(message, text=scrub(message.text)) for message in sample.messages)
    if messages == sample.messages:
        return sample
    clean = replace(sample, messages=messages)
    return replace(clean, image=Render(clean.html)) if clean.html and sample.image is not None else clean
