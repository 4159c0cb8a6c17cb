"""A dataset of samples built on a real Ray: complete, stable, resumable, and nothing lost to bad rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ray_jobs.build_dataset import main
from tests.web2code.data import layouts
from web2code.config import BuildJob, DataConfig, SourceConfig, Viewport, Where
from web2code.data import shards
from web2code.data.images import decode_image
from web2code.inspection.difference import compare
from web2code.inspection.statistics import dataset_statistics
from web2code.report.preview import write_preview

VIEWPORT = Viewport(width=160, height=120)
PAGES = SourceConfig(name="written", max_samples=40, eval_share=0.2)


def job(home: Path, *sources: SourceConfig, **folders: Path) -> BuildJob:
    out = str(home / "dataset")
    named = {name: str(path) for name, path in folders.items()}
    where = Where(home=str(home), data_dir=out, out=out, folders=named)
    return BuildJob(where=where, data=DataConfig(sources=sources, viewport=VIEWPORT))


@pytest.fixture(scope="module")
def built(local_ray, tmp_path_factory):
    home = tmp_path_factory.mktemp("built")
    return home, main(job(home, PAGES))


def rows_of(home: Path) -> list[dict]:
    record = shards.load_record(home / "dataset")
    return list(shards.read_rows(home / "dataset", record.shards))


def test_every_page_has_its_code_pair_its_questions_and_its_picture(built):
    home, record = built
    rows = rows_of(home)
    assert record.num_samples == {"DWCG": 40, "DWU": 40}
    assert {row["id"] for row in rows} == {name for i in range(40) for name in (f"dwcg/0/{i:07}", f"dwu/dwcg/0/{i:07}")}
    splits = {}
    for row in rows:
        assert decode_image(row["image"]).width == VIEWPORT.width
        assert row["num_tokens"] == sum(row["message_tokens"]) > 0
        assert splits.setdefault(row["page"], row["split"]) == row["split"]
    assert Counter(splits.values())["eval"] in range(2, 18)
    pairs = [row for row in rows if row["part"] == "DWCG"]
    assert all(row["is_html"] and row["has_body"] and row["dom_depth"] > 2 for row in pairs)
    assert all(row["num_messages"] == 20 for row in rows if row["part"] == "DWU")


def test_shards_are_named_after_their_content(built):
    home, record = built
    assert shards.verify(home / "dataset") == record
    assert all(shard.sha256.startswith(Path(shard.path).stem.split("-")[1]) for shard in record.shards)


def test_the_same_job_again_makes_nothing_again(built):
    home, record = built
    before = {path: path.stat().st_mtime_ns for path in (home / "dataset").glob("DW*/*.parquet")}
    assert main(job(home, PAGES)) == record
    assert {path: path.stat().st_mtime_ns for path in (home / "dataset").glob("DW*/*.parquet")} == before


def test_another_home_gives_the_same_bytes(built, tmp_path):
    assert main(job(tmp_path, PAGES)).shards == built[1].shards


def test_after_a_kill_the_rest_is_made_and_the_result_is_the_same(built, tmp_path):
    _home, record = built
    again = job(tmp_path, PAGES)
    main(again)
    for path in [*(tmp_path / "dataset").glob("DWU/*.parquet"), tmp_path / "dataset" / "dataset.json"]:
        path.unlink()
    (tmp_path / "dataset" / "DWCG" / ".77.unfinished").write_bytes(b"half")
    assert main(again) == record
    assert not list((tmp_path / "dataset").rglob("*.unfinished"))


def test_killed_while_it_builds_it_goes_on_from_what_is_there(local_ray, tmp_path):
    def small(home: Path) -> BuildJob:
        wanted = job(home, PAGES)
        return wanted.model_copy(update={"data": wanted.data.model_copy(update={"pages_per_shard": 4})})

    names = ("killed", "undisturbed")
    (tmp_path / "job.json").write_text(small(tmp_path / names[0]).model_dump_json())
    running = subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.build_dataset", str(tmp_path / "job.json")],
        env={**os.environ, "RAY_ADDRESS": local_ray}, start_new_session=True,
    )  # fmt: skip
    while not (notes := list((tmp_path / names[0] / "builds").rglob("*.json"))):
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / names[0] / "dataset" / "dataset.json").exists()
    before = {path: path.stat().st_mtime_ns for path in notes}
    record = main(small(tmp_path / names[0]))
    assert record.shards == main(small(tmp_path / names[1])).shards
    made, expected = ({path.name for path in (tmp_path / name / "builds").rglob("*.json")} for name in names)
    assert made == expected
    assert len(notes) < len(made)
    assert before == {path: path.stat().st_mtime_ns for path in notes}


def test_a_further_source_leaves_the_other_shards_alone(built, tmp_path, local_ray):
    layouts.write_websrc(tmp_path / "websrc")
    alone = main(job(tmp_path, PAGES))
    refined = SourceConfig(name="websrc-refined")
    both = main(job(tmp_path, PAGES, refined, **{"websrc-refined": tmp_path / "websrc"}))
    assert set(alone.shards) < set(both.shards)
    assert {shard.part for shard in set(both.shards) - set(alone.shards)} == {"DWU_R"}
    difference = compare(str(built[0] / "dataset"), str(tmp_path / "dataset"))
    changes = {change.part: (change.added, change.removed, change.changed) for change in difference.changes}
    assert changes == {"DWCG": (0, 0, 0), "DWU": (0, 0, 0), "DWU_R": (2, 0, 0)}
    assert difference.new_bytes < difference.shared_bytes
    pairs = [row["messages"] for row in rows_of(tmp_path) if row["part"] == "DWU_R"]
    answers = [message["text"] for message in pairs[0] if message["role"] == "assistant"]
    assert answers == ["The price is $20.", "Yes, that is so on this page."]  # the second price was a duplicate


def test_refined_pages_are_rendered_with_bootstrap(local_ray, tmp_path):
    layouts.write_pix2code(tmp_path / "pix2code")
    refined = SourceConfig(name="pix2code-refined")
    record = main(job(tmp_path, refined, **{"pix2code-refined": tmp_path / "pix2code"}))
    assert record.num_samples == {"DWCG_R": 1, "DWU": 1}
    row = next(row for row in rows_of(tmp_path) if row["part"] == "DWCG_R")
    assert "maxcdn.bootstrapcdn.com/bootstrap/3.3.7" in row["messages"][1]["text"]
    colours = {colour for _, colour in decode_image(row["image"]).getcolors(100_000)}
    assert (240, 173, 78) in colours  # Bootstrap's warning button: the sheet was there without a network
    reasons = Counter(row["reason"] for row in shards.read_quarantine(tmp_path / "dataset"))
    assert reasons == {"image not found": 1, "layout brackets do not fit": 1}


def test_hostile_rows_are_counted_and_nothing_else_is_lost(local_ray, tmp_path):
    root = tmp_path / "raw"
    layouts.write_web2code(root)
    bomb = layouts.picture(size=(16_000, 6_250))
    with zipfile.ZipFile(root / "Web2Code_image.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad/bomb.png", bomb)
        archive.writestr("bad/torn.png", layouts.picture(size=(400, 300))[:60])
        archive.writestr("bad/text.png", b"no picture at all")
        archive.writestr("bad/good.png", layouts.picture())
    texts = {"bomb": layouts.HTML, "torn": layouts.HTML, "text": layouts.HTML}
    records = [layouts.record(name, f"bad/{name}.png", "<image>\nWrite.", text) for name, text in texts.items()]
    records += [
        layouts.record("huge", "bad/good.png", "<image>\nWrite.", "<html>" + "x" * 10_000_000),
        layouts.record("empty", "bad/good.png", "<image>\nWrite.", "  "),
        layouts.record("deep", "bad/good.png", "<image>\nWrite.", "<html><body>" + "<div>" * 50_000),
    ]
    (root / "Web2Code.json").write_text(json.dumps(records))
    record = main(job(tmp_path, SourceConfig(name="web2code"), web2code=root))
    reasons = Counter(row["reason"] for row in shards.read_quarantine(tmp_path / "dataset"))
    assert reasons == {
        "image has too many pixels": 1, "image does not decode": 2, "text is too long": 1, "no answer": 1,
    }  # fmt: skip
    assert record.num_samples == {"DWCG": 1, "DWU": 1, "DWU_R": 1}


def test_scrubbed_pages_fit_their_pictures(local_ray, tmp_path):
    root = tmp_path / "raw"
    layouts.write_web2code(root)
    page = "<html><body><h1>Call (415) 867-5309</h1><p>or write to bob.smith@acme.io</p></body></html>"
    (root / "Web2Code.json").write_text(json.dumps([layouts.record("1", "part1/00021.png", "<image>\nWrite.", page)]))
    plain = job(tmp_path / "plain", SourceConfig(name="web2code"), web2code=root)
    clean = job(tmp_path / "clean", SourceConfig(name="web2code"), web2code=root)
    clean = clean.model_copy(update={"data": clean.data.model_copy(update={"scrub": True})})
    main(plain)
    main(clean)
    before, after = ({row["part"]: row for row in rows_of(tmp_path / name)} for name in ("plain", "clean"))
    assert (before["DWCG"]["num_pii"], after["DWCG"]["num_pii"]) == (2, 0)
    assert (before["DWCG"]["width"], after["DWCG"]["width"]) == (32, VIEWPORT.width)  # rendered anew
    assert after["DWU"] == before["DWU"]


def test_a_source_that_gives_nothing_is_one_sentence(local_ray, tmp_path):
    (tmp_path / "raw" / "data").mkdir(parents=True)
    layouts.write_websight(tmp_path / "raw", num=0)
    with pytest.raises(ValueError, match="gave no sample at all"):
        main(job(tmp_path, SourceConfig(name="websight"), websight=tmp_path / "raw"))


def test_statistics_and_preview_tell_what_is_there(built, tmp_path):
    home, _ = built
    by_part = {part.part: part for part in dataset_statistics(home / "dataset")}
    assert (by_part["DWCG"].size, by_part["DWU"].size) == (40, 400)
    assert by_part["DWCG"].tags.mean > 5
    page = write_preview(home / "dataset", tmp_path / "page.html").read_text()
    assert "471.8 ± 162.3" in page  # the published figure stands beside
    assert page.count("data:image/webp;base64,") == 12
    assert "&lt;html&gt;" in page
    assert "<script" not in page
