import io
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ray_jobs.build_dataset import main as build_dataset
from ray_jobs.evaluate import main
from ray_jobs.prepare import main as prepare
from ray_jobs.train import main as train
from tests.web2code.modelling.checkpoints import save_llava
from tests.web2code.modelling.image_text_models import save_toy
from tests.web2code.training.conftest import make_prepared
from web2code.artifacts import verify
from web2code.config import (
    BuildJob,
    DataConfig,
    EvaluateJob,
    EvaluationConfig,
    ImageTextConfig,
    Mixture,
    PagesConfig,
    PartShare,
    PrepareJob,
    SourceConfig,
    StageConfig,
    TrainJob,
    Viewport,
    Where,
    digest_tree,
)
from web2code.data import shards
from web2code.data.pages import read_pages
from web2code.evaluation.constant import constant_candidates
from web2code.evaluation.engines import serving
from web2code.evaluation.features import page_features
from web2code.evaluation.screenshots import read_screenshots
from web2code.evaluation.visual import score_aspects, score_groups
from web2code.evaluation.writing import asks
from web2code.modelling.templates import TEMPLATES
from web2code.rendering import Browsers

VIEWPORT = Viewport(width=256, height=256)
EVALUATION = EvaluationConfig(max_new_tokens=24, bootstrap_samples=200, constant_candidates=4, screenshots_digest="s")


def bomb() -> bytes:
    """A PNG of a few hundred bytes that claims to be 30,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (30_000).to_bytes(4, "big") * 2
    header = chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def built(local_ray, tmp_path_factory):
    """A small dataset, the checkpoint of an untrained model and a folder of screenshots."""
    home = tmp_path_factory.mktemp("built")
    pages = PagesConfig(num_train=6, num_eval=8, viewport=VIEWPORT, seed=3)
    source = SourceConfig(name="generated", pages=pages)
    data = DataConfig(sources=(source,), viewport=VIEWPORT, seed=3)
    job = BuildJob(where=Where(home=str(home), data_dir=""), data=data)
    build_dataset(job)
    make_prepared(home / "artifacts" / "prepared" / "pages")
    shots = home / "shots"
    (shots / "a").mkdir(parents=True)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    picture.save(shots / "good.png")
    picture.convert("L").save(shots / "a" / "grey.jpg")
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    (shots / "cut.png").write_bytes(stream.getvalue()[:900])
    (shots / "bomb.png").write_bytes(bomb())
    return home, Path(job.output()), shots


def new_home(built, folder: Path) -> EvaluateJob:
    """A job whose candidate has already answered: all pages but one as in the reference, all questions yes."""
    home, data, shots = built
    shutil.copytree(home / "artifacts" / "prepared", folder / "artifacts" / "prepared")
    where = Where(home=str(folder), data_dir=str(data), screenshots_folder=str(shots))
    job = EvaluateJob(
        where=where, dataset_version="v", prepared="pages", candidate="finished", evaluation=EVALUATION,
        viewport=VIEWPORT, seed=0,
    )  # fmt: skip
    rows = read_pages(data, "eval")
    answers = {f"page/{row['id']}": row["html"] for row in rows} | {f"page/{rows[0]['id']}": "I cannot see it."}
    answers |= {f"screenshot/{name}": rows[0]["html"] for name in ("good.png", "a%2Fgrey.jpg")}
    answers |= {f"question/{row['id']}/{number}": "Yes" for row in rows for number, _ in enumerate(row["questions"])}
    Path(job.output()).mkdir(parents=True)
    write_answers(job, "candidate", answers)
    return job


def write_answers(job: EvaluateJob, name: str, answers: dict[str, str], tail: str = "") -> None:
    lines = [json.dumps({"key": key, "text": text}) + "\n" for key, text in answers.items()]
    (Path(job.output()) / f"answers-{name}.jsonl").write_text("".join(lines) + tail)


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def evaluated(built, tmp_path_factory):
    job = new_home(built, tmp_path_factory.mktemp("evaluated"))
    return job, main(job)


def test_every_page_and_question_counts_and_what_does_not_render_scores_nothing(built, evaluated):
    _, record = evaluated
    rows = read_pages(built[1], "eval")
    candidate, untrained = record.systems["candidate"], record.systems["untrained"]
    assert set(record.systems) == {"candidate", "untrained", "constant_page"}
    assert {system.wcgb_visual.num for system in record.systems.values()} == {len(rows)}
    assert candidate.wcgb_visual.render_failed == 1
    assert candidate.wcgb_visual.overall == pytest.approx(10 * (len(rows) - 1) / len(rows))
    assert untrained.wcgb_visual.overall < record.systems["constant_page"].wcgb_visual.overall
    truth = [item["answer"] for row in rows for item in row["questions"]]
    assert candidate.wub.num == untrained.wub.num == len(truth)
    assert candidate.wub.accuracy == pytest.approx(truth.count("Yes") / len(truth))
    assert record.systems["constant_page"].wub.accuracy == record.systems["constant_page"].wub.majority
    assert record.differences["untrained"].mean == pytest.approx(
        candidate.wcgb_visual.overall - untrained.wcgb_visual.overall
    )


def test_the_constant_page_is_the_best_of_those_tried_in_hindsight(built, evaluated):
    job, record = evaluated
    train = read_pages(built[1], "train", images=False)
    tried = constant_candidates(train, EVALUATION.constant_candidates, job.seed)
    assert len(set(tried)) == EVALUATION.constant_candidates
    with Browsers(2, VIEWPORT) as browsers:
        references = [page_features(s) for s in browsers.render(row["html"] for row in read_pages(built[1], "eval"))]
        candidates = [page_features(snapshot) for snapshot in browsers.render(tried)]
    means = [
        np.mean([score_groups(score_aspects(reference, page))["overall"] for reference in references])
        for page in candidates
    ]
    assert record.systems["constant_page"].wcgb_visual.overall == pytest.approx(max(means))


def test_samples_and_pictures_lie_beside_the_record(built, evaluated):
    job, record = evaluated
    out = Path(job.output())
    rows = read_pages(built[1], "eval")
    verify(job.output())
    samples = read_lines(out / "samples.jsonl")
    assert [(line["system"], line["id"]) for line in samples] == [
        (name, row["id"]) for name in sorted(record.systems) for row in rows
    ]
    failed = next(line for line in samples if line["outcome"] == "failed")
    assert (failed["system"], failed["id"], failed["overall"]) == ("candidate", rows[0]["id"], 0.0)
    assert failed["reason"] == "the answer holds no HTML document"
    for line in samples:
        assert (out / "pictures" / line["system"] / f"{line['id']}.png").exists() == (line["outcome"] == "rendered")
    for row in rows[1:]:
        names = [out / "pictures" / kind / f"{row['id']}.png" for kind in ("reference", "candidate")]
        assert names[0].read_bytes() == names[1].read_bytes() == row["image"]
    outcomes = {line["outcome"] for line in read_lines(out / "questions.jsonl") if line["system"] == "candidate"}
    assert outcomes == {"yes"}


def test_a_screenshot_that_cannot_be_used_is_named_and_counted(evaluated):
    job, record = evaluated
    lines = [line for line in read_lines(Path(job.output()) / "screenshots.jsonl") if line["system"] == "candidate"]
    reasons = {line["id"]: line["reason"] for line in lines}
    assert set(reasons) == {"good.png", "a%2Fgrey.jpg", "cut.png", "bomb.png"}
    assert "over the limit" in reasons["bomb.png"]
    assert "cannot be decoded" in reasons["cut.png"]
    result = record.screenshots["candidate"]
    assert (result.num, result.render_failed) == (4, 2)
    assert 0 < result.similarity.mean == pytest.approx(sum(line["similarity"] for line in lines) / 4)


def test_the_same_job_again_does_no_work(evaluated):
    job, record = evaluated
    marker = Path(job.output()) / "COMMITTED"
    before = marker.stat().st_mtime_ns
    assert main(job) == record
    assert marker.stat().st_mtime_ns == before


def test_a_job_that_was_killed_goes_on_with_the_answers_it_has_and_ends_with_the_same(built, evaluated, tmp_path):
    first, record = evaluated
    job = new_home(built, tmp_path)
    lines = read_lines(Path(first.output()) / "answers-untrained.jsonl")
    done = {line["key"]: line["text"] for line in lines if not line["key"].startswith("question/")}
    marked = dict(done)
    marked[next(iter(done))] = "<html><body>kept from before</body></html>"
    write_answers(job, "untrained", marked, tail='{"key": "question/1/0", "te')
    again = main(job)
    written = {line["key"]: line["text"] for line in read_lines(Path(job.output()) / "answers-untrained.jsonl")}
    assert written == {line["key"]: line["text"] for line in lines} | marked
    assert again.systems["candidate"] == record.systems["candidate"]
    assert again.systems["constant_page"] == record.systems["constant_page"]
    assert again.systems["untrained"].wub == record.systems["untrained"].wub
    assert again.systems["untrained"].wcgb_visual.render_failed < record.systems["untrained"].wcgb_visual.render_failed


def test_a_dataset_without_held_out_pages_is_refused(built, tmp_path):
    _, data, _ = built
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    whole = shards.load_record(copy)
    none = whole.model_copy(update={"shards": tuple(shard for shard in whole.shards if shard.split == "train")})
    (copy / shards.RECORD).write_text(none.model_dump_json())
    job = EvaluateJob(
        where=Where(home=str(tmp_path), data_dir=str(copy)), dataset_version="v", prepared="pages",
        candidate="finished", evaluation=EVALUATION, viewport=VIEWPORT, seed=0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="holds no held-out page"):
        main(job)


def test_the_models_of_a_run_answer_by_vllm(built, tmp_path, monkeypatch):
    try:
        serving.vllm_python()
    except ValueError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(serving, "GIGABYTES_OF_CACHE", 1)
    first = new_home(built, tmp_path / "home")
    evaluation = EvaluationConfig.model_validate(EVALUATION.model_dump() | {"engine": "vllm"})
    job = EvaluateJob.model_validate(first.model_dump() | {"evaluation": evaluation.model_dump()})
    base = tmp_path / "home" / "artifacts" / "prepared" / "pages" / "base"
    shutil.rmtree(base)
    save_llava(base, TEMPLATES["mpt"])
    shutil.copytree(first.output(), job.output())
    record = main(job)
    written = read_lines(Path(job.output()) / "answers-untrained.jsonl")
    rows, shots = read_pages(built[1], "eval"), read_screenshots(str(built[2]))
    assert {line["key"] for line in written} == {request.key for request in asks(rows, shots, evaluation)}
    assert not any(line["error"] for line in written)
    assert len({line["text"] for line in written}) > 1
    assert (tmp_path / "home" / "artifacts" / "exported" / digest_tree(base) / "config.json").exists()
    assert record.systems["untrained"].wcgb_visual.num == len(rows)
    assert record.systems["untrained"].wub.num == record.systems["candidate"].wub.num


def test_an_image_text_model_is_prepared_trained_and_judged(built, local_ray, tmp_path):
    """The jobs of a recipe that begins with a model that is published whole, one after another."""
    where = Where(home=str(tmp_path / "home"), data_dir=str(built[1]), num_workers=1)
    shared = {"where": where, "dataset_version": "v", "seed": 0}
    prepared = prepare(PrepareJob(
        **shared, model=ImageTextConfig(name=save_toy(tmp_path / "hub", "qwen3-vl-8b"), max_length=1024),
        mixture=Mixture(name="m", align=(), instruct=(PartShare(part="DWCG"),)), templates={"instruct": "own"},
    ))  # fmt: skip
    stage = StageConfig(
        name="instruct", trainable=("projector", "language_model"), zero_stage=3, template="own", steps=4,
        global_batch=4, micro_batch=2, learning_rate=1e-2, gradient_checkpointing=True,
    )  # fmt: skip
    trained = train(TrainJob(where=where, stage=stage, prepared=prepared.fingerprint, seed=0))
    assert trained.losses[-1] < trained.losses[0]
    record = main(EvaluateJob(
        **shared, prepared=prepared.fingerprint, candidate=trained.fingerprint,
        evaluation=EvaluationConfig(max_new_tokens=8, bootstrap_samples=100, constant_candidates=2), viewport=VIEWPORT,
    ))  # fmt: skip
    assert record.systems.keys() == {"candidate", "untrained", "constant_page"}
    assert record.systems["candidate"].wcgb_visual.num == len(read_pages(built[1], "eval"))
