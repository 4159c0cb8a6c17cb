"""Make the tokenizer, the base checkpoint and the arrays of a dataset: `python -m ray_jobs.prepare JOB.json`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import ray

from web2code.artifacts import publish, read_record
from web2code.config import PreparedRecord, PrepareJob
from web2code.data.pages import read_pages
from web2code.modelling.base import build_model, num_image_tokens, save_checkpoint
from web2code.modelling.images import square_pixels
from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer
from web2code.progress import report
from web2code.training.arrays import write_samples
from web2code.training.prepare import Counts, samples, tokenizer_texts, warm_up
from web2code.validation.quarantine import read_quarantined


def main(job: PrepareJob) -> PreparedRecord:
    """Prepare the training split; returns the committed record."""
    if done := read_record(job.output(), PreparedRecord):
        return done
    out = Path(job.output())
    out.mkdir(parents=True, exist_ok=True)
    quarantined = read_quarantined(job.where.home, job.verdict) if job.verdict else set()
    rows = read_pages(job.where.data_dir, "train", excluded=quarantined)
    pixels = decode_all([row["image"] for row in rows], job.model.vision.image_size)
    template, language = TEMPLATES[job.template], job.model.language
    tokenizer = train_tokenizer(
        tokenizer_texts(rows, template), language.vocab_size, language.max_length, template.control_tokens
    )
    model = build_model(job.model, tokenizer, job.seed)
    texts = [text for row in rows for text in (row["html"], row["caption"])]
    losses = warm_up(
        model, tokenizer, texts, job.model.warmup_steps, job.seed,
        lambda step, loss: report("warm up", step, job.model.warmup_steps, f"loss {loss:.3f}"),
    )  # fmt: skip
    save_checkpoint(out / "base", model, tokenizer, template)
    counts = Counts()
    num_samples = write_samples(
        out,
        samples(tokenizer, rows, template, num_image_tokens(job.model), language.max_length, counts),
    )
    np.save(out / "pixels.npy", np.concatenate(ray.get(pixels)))
    record = PreparedRecord(
        fingerprint=job.fingerprint(),
        dataset_version=job.dataset_version,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocab_size=len(tokenizer),
        num_samples=num_samples,
        num_truncated=counts.num_truncated,
        mean_tokens=float(np.diff(np.load(out / "offsets.npy")).mean()),
        warmup_first_loss=losses[0] if losses else None,
        warmup_last_loss=losses[-1] if losses else None,
    )
    publish(out, job.output(), record)
    return record


def decode_all(images: list[bytes], size: int, chunk: int = 256) -> list[ray.ObjectRef]:
    """Decode and resize pictures in parallel: references to uint8 arrays of shape (at most `chunk`, size, size, 3)."""
    decode = ray.remote(num_cpus=0.5)(lambda pngs: np.stack([square_pixels(png, size) for png in pngs]))
    return [decode.remote(images[start : start + chunk]) for start in range(0, len(images), chunk)]


if __name__ == "__main__":
    ray.init()
    main(PrepareJob.model_validate_json(Path(sys.argv[1]).read_text()))
