import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from tasks import register
from tasks.fetch_model import FetchJob, fetch
from tasks.registry.reader import tag_of_alias, version_with_tag
from tasks.reuse import take_reuse
from tasks.version import version_dataset
from tests.tasks.datasets import make_rows, picture, write_dataset
from tests.web2code.training.conftest import make_prepared
from web2code.artifacts import publish, read_record
from web2code.config import (
    BenchmarkResult,
    BenchmarksRecord,
    DatasetRecord,
    Decision,
    EvaluationRecord,
    Interval,
    PreparedRecord,
    RegistrationRecord,
    StageRecord,
    SystemResult,
    Understanding,
    VersionRecord,
    Visual,
    digest_tree,
)
from web2code.evaluate_command import Found, find_model
from web2code.recipes import resolve

ROOT = Path(__file__).parents[2]
RECIPE = resolve("tiny")
NAME = RECIPE.model_name
VERSION = "0123456789abcdef0123456789abcdef.dir"
LICENCES = ("CC-BY-NC-4.0", "MIT")
YES, NO = Decision(promoted=True, reason="it is better"), Decision(promoted=False, reason="it is worse")
register_model, find_champion = register.register_model.fn, register.find_champion.fn


def stage(fingerprint, name="instruct"):
    return StageRecord(
        fingerprint=fingerprint, name=name, zero_stage=3, steps=3, first_loss=3.0, last_loss=1.0,
        seconds_to_first_step=1.0, seconds=2.0, prepared="prepared",
        losses=(3.0, 2.0, 1.0), learning_rates=(0.1, 0.2, 0.1),
    )  # fmt: skip


def evaluation(fingerprint, overall=4.0):
    interval = Interval(mean=overall, low=overall - 0.1, high=overall + 0.1)
    system = SystemResult(
        wub=Understanding(
            accuracy=0.5, num=10, unparsed=1, interval=Interval(mean=0.5, low=0.4, high=0.6), balanced_accuracy=0.5,
            yes_ratio=0.5, majority=0.5,
        ),
        wcgb_visual=Visual(
            overall=overall, vsa=1, cad=1, tcc=1, uii=1, num=10, render_failed=2, intervals={"overall": interval}
        ),
    )  # fmt: skip
    systems = {"candidate": system, "untrained": system, "constant_page": system}
    return EvaluationRecord(fingerprint=fingerprint, dataset_version=VERSION, evaluator="e", systems=systems)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared")) / "base"


@pytest.fixture
def home(tmp_path, checkpoint, empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    for name in ("one", "two"):
        folder = tmp_path / "artifacts" / "stage" / name
        shutil.copytree(checkpoint, folder / "model")
        publish(folder, str(folder), stage(name))
    return tmp_path


def arguments(home, name, judged, verdict):
    model_dir = home / "artifacts" / "stage" / name / "model"
    return RECIPE, VERSION, LICENCES, [stage("first", "align"), stage(name)], judged, verdict, model_dir, home


def go(home, name="one", judged="e1", verdict=YES, overall=4.0):
    take_reuse()
    return register_model(*arguments(home, name, evaluation(judged, overall), verdict))


def client(home):
    return mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def test_a_promoted_candidate_is_champion_and_the_same_again_is_the_same_version(home):
    assert find_champion(NAME, home) == ""
    first = go(home)
    assert (first.version, first.aliases) == (1, ("champion",))
    assert find_champion(NAME, home) == "one"
    assert not take_reuse()
    assert go(home) == first
    assert take_reuse()


def test_only_the_gate_moves_the_alias_and_the_decision_stands_beside_it(home):
    go(home)
    second = go(home, "two", "e2", NO)
    assert (second.version, second.aliases) == (2, ())
    assert find_champion(NAME, home) == "one"
    tags = client(home).get_model_version(NAME, "2").tags
    assert json.loads(tags["web2code.decision"]) == {"promoted": False, "reason": "it is worse", "evaluation": "e2"}


def test_a_candidate_that_is_judged_again_gets_a_new_decision_and_no_new_version(home):
    go(home)
    go(home, "two", "e2", NO)
    again = go(home, "two", "e3", YES, overall=5.0)
    assert (again.version, again.aliases) == (2, ("champion",))
    assert find_champion(NAME, home) == "two"
    version = client(home).get_model_version(NAME, "2")
    audits = {key: json.loads(value) for key, value in version.tags.items() if key.startswith("web2code.audit.")}
    assert [audits[f"web2code.audit.{name}"]["promoted"] for name in ("e2", "e3")] == [False, True]
    assert audits["web2code.audit.e3"]["champion_before"] == "1"
    assert client(home).get_run(version.run_id).data.metrics["candidate/overall"] == 5.0


def test_an_alias_that_was_moved_by_hand_is_believed(home):
    go(home)
    go(home, "two", "e2", NO)
    client(home).set_registered_model_alias(NAME, "champion", "2")
    assert find_champion(NAME, home) == "two"
    assert go(home).aliases == ()
    assert take_reuse()


def test_the_file_is_read_as_mlflow_reads_it(home):
    go(home)
    database, asked = home / "mlflow.db", client(home)
    asked.set_registered_model_alias(NAME, "shadow", "1")
    by_alias = asked.get_model_version_by_alias(NAME, "champion")
    key = by_alias.tags[register.KEY_TAG]
    assert tag_of_alias(database, NAME, "champion", register.STAGE_TAG) == by_alias.tags[register.STAGE_TAG]
    found = version_with_tag(database, NAME, register.KEY_TAG, key)
    assert (str(found.version), set(found.aliases)) == (str(by_alias.version), {"champion", "shadow"})
    assert version_with_tag(database, NAME, register.KEY_TAG, "another") is None
    asked.delete_model_version(NAME, "1")
    assert version_with_tag(database, NAME, register.KEY_TAG, key) is None


def test_a_store_that_was_lost_is_filled_again(home, empty_store):
    go(home)
    shutil.copy(empty_store, home / "mlflow.db")
    assert go(home).aliases == ("champion",)
    assert not take_reuse()
    assert find_champion(NAME, home) == "one"


def test_the_run_holds_identity_curves_scores_and_dataset(home):
    go(home)
    version = client(home).get_model_version(NAME, "1")
    run = client(home).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["instruct.learning_rate"] == str(RECIPE.instruct.learning_rate)
    assert not {"home", "num_workers", "data_dir"} & {name.split(".")[-1] for name in run.data.params}
    losses = client(home).get_metric_history(version.run_id, "instruct/loss")
    assert [(point.step, point.value) for point in losses] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert run.data.metrics["constant_page/overall_high"] == 4.1
    assert run.inputs.dataset_inputs[0].dataset.digest == VERSION
    model = client(home).get_logged_model(run.outputs.model_outputs[0].model_id)
    score = next(metric for metric in model.metrics if metric.key == "candidate/overall")
    assert (score.value, score.dataset_digest) == (4.0, VERSION)


def test_benchmarks_that_were_asked_later_are_added_to_what_is_registered(home):
    go(home)
    figure = Interval(mean=80.0, low=70.0, high=90.0)
    result = BenchmarkResult(title="MME", figure="perception", scale=2000, num=8, lost=0, candidate=figure)
    asked = BenchmarksRecord(fingerprint="b1", candidate="one", results={"mme": result})
    for _ in range(2):
        take_reuse()
        model = register_model(*arguments(home, "one", evaluation("e1"), YES), asked)
        assert (model.version, model.aliases) == (1, ("champion",))
    assert take_reuse()
    run = client(home).get_run(client(home).get_model_version(NAME, "1").run_id)
    assert {name: value for name, value in run.data.metrics.items() if "mme" in name} == {
        "candidate/benchmarks/mme": 80.0, "candidate/benchmarks/mme_low": 70.0, "candidate/benchmarks/mme_high": 90.0
    }  # fmt: skip
    assert find_record(home, "registration", RegistrationRecord, lambda record: record.benchmarks == "b1")


def test_a_damaged_checkpoint_is_not_registered(home):
    weights = home / "artifacts" / "stage" / "one" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is corrupt"):
        go(home)
    assert client(home).search_registered_models() == []


def test_the_champion_loads_in_a_fresh_process_with_the_code_it_came_with(home, tmp_path):
    go(home)
    code = (
        "import sys, mlflow; mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.pyfunc.load_model(sys.argv[2])\n"
        "row = {'image': sys.argv[3], 'prompt': ''}\n"
        "print('answer', len(model.predict([row], params={'max_new_tokens': 4})))\n"
        "import web2code.modelling; print('code', web2code.modelling.__path__[0])"
    )
    image = base64.b64encode(picture(3)).decode()
    store = f"sqlite:///{home / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-c", code, store, f"models:/{NAME}@champion", image], cwd=tmp_path, capture_output=True,
        text=True,
    )  # fmt: skip
    assert "answer 1" in done.stdout, done.stderr
    assert f"code {home / 'mlartifacts'}" in done.stdout


def test_a_registered_model_is_a_folder_to_evaluate(home, monkeypatch):
    go(home)
    trained = home / "artifacts" / "stage" / "one" / "model"
    whole = digest_tree(trained)
    monkeypatch.setenv("WEB2CODE_HOME", str(home))
    assert find_model(f"{NAME}@champion") == Found(str(trained), f"{NAME}-v1", whole)
    shutil.rmtree(trained)
    for reference in (f"{NAME}@champion", f"models:/{NAME}/1"):
        copy = Path(fetch(FetchJob(model=reference, home=str(home))).folder)
        assert digest_tree(copy) == whole
    assert find_model(str(home)).model == str(home)
    with pytest.raises(ValueError, match=rf"{NAME}@best is not in sqlite:///.*alias best not found"):
        fetch(FetchJob(model=f"{NAME}@best", home=str(home)))
    with pytest.raises(ValueError, match="write NAME@ALIAS or models:/NAME/VERSION"):
        fetch(FetchJob(model="models:/one/two/three", home=str(home)))


def test_the_second_time_mlflow_is_not_imported(home):
    first = go(home)
    script = (
        "import json, sys; from pathlib import Path\n"
        "from tasks.register import find_champion, register_model\n"
        "from web2code.config import Decision, EvaluationRecord, Recipe, StageRecord\n"
        "given, home = json.loads(sys.argv[1]), Path(sys.argv[2])\n"
        "stages = [StageRecord.model_validate(value) for value in given['stages']]\n"
        "record = register_model.fn(Recipe.model_validate(given['recipe']), given['version'],\n"
        "    tuple(given['licences']), stages,\n"
        "    EvaluationRecord.model_validate(given['evaluation']), Decision.model_validate(given['decision']),\n"
        "    home / 'none', home)\n"
        "assert find_champion.fn(record.name, home) == 'one'\n"
        "assert 'mlflow' not in sys.modules\n"
        "print(record.model_dump_json())"
    )
    recipe, version, licences, stages, judged, verdict, *_ = arguments(home, "one", evaluation("e1"), YES)
    given = {
        "recipe": recipe.model_dump(mode="json"), "version": version, "licences": licences,
        "decision": verdict.model_dump(),
        "stages": [value.model_dump(mode="json") for value in stages], "evaluation": judged.model_dump(mode="json"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(given), str(home)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == first.model_dump_json()


KILL_BEFORE = ["log_inputs", "log_model_artifacts", "create_registered_model", "create_model_version",
               "set_model_version_tag", "set_registered_model_alias"]  # fmt: skip


@pytest.mark.parametrize("method", KILL_BEFORE)
def test_what_a_kill_left_is_completed_and_never_doubled(home, method):
    """The process ends, as by SIGKILL, just before the named call."""
    child = os.fork()
    if child == 0:
        setattr(mlflow.MlflowClient, method, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        go(home)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert find_champion(NAME, home) == ""
    model = go(home)
    assert (model.version, model.aliases) == (1, ("champion",))
    asked = client(home)
    assert len(asked.search_model_versions(f"name = '{NAME}'")) == 1
    experiment = asked.get_experiment_by_name(RECIPE.name).experiment_id
    statuses = sorted(run.info.status for run in asked.search_runs([experiment]))
    assert statuses == ["FINISHED"]
    run = asked.get_run(asked.search_runs([experiment])[0].info.run_id)
    assert len(run.inputs.dataset_inputs) == 1
    losses = asked.get_metric_history(run.info.run_id, "instruct/loss")
    assert [(point.step, point.value) for point in losses] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_store_whose_making_was_killed_is_made_again(home, tmp_path):
    store = tmp_path / "fresh" / "mlflow.db"
    code = "import sys; from tasks.registry.tracking import open_store; open_store(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", code, f"sqlite:///{store}"], cwd=ROOT)
    while not list(tmp_path.glob("fresh/*")) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    process.kill()
    process.wait()
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{store}"], cwd=ROOT, check=True)
    assert client(store.parent).search_registered_models() == []


def test_a_model_carries_the_licences_of_its_data(home):
    model = go(home)
    tags = client(home).get_model_version(model.name, str(model.version)).tags
    assert (tags["web2code.licences"], tags["web2code.use"]) == ("CC-BY-NC-4.0, MIT", "non-commercial")
    registered = find_record(home, "registration", RegistrationRecord, lambda record: record.model == model)
    assert (registered.licences, registered.use) == (LICENCES, "non-commercial")


def test_the_chain_from_a_version_to_its_pages_needs_no_server(home):
    made = write_dataset(home / "artifacts" / "dataset" / "pages", make_rows(), fingerprint="pages")
    publish_record(home, "dataset/pages", made)
    version = version_dataset.fn(f"{home}/artifacts/dataset/pages", home / "data", home, made)
    publish_record(home, "prepared/prepared", prepared_record(version))
    take_reuse()
    given = (RECIPE, version, *arguments(home, "one", evaluation("e1"), YES)[2:])
    model = register_model(*given)

    registered = find_record(home, "registration", RegistrationRecord, lambda record: record.model == model)
    trained = find_record(home, "stage", StageRecord, lambda record: record.fingerprint == registered.stages[-1])
    prepared = find_record(home, "prepared", PreparedRecord, lambda record: record.fingerprint == trained.prepared)
    assert registered.dataset_version == prepared.dataset_version
    pushed = find_record(home, "version", VersionRecord, lambda record: record.version == prepared.dataset_version)
    pages = find_record(home, "dataset", DatasetRecord, lambda record: record.fingerprint == pushed.dataset)
    assert pages == made
    assert pushed.version in (home / "data.dvc").read_text()
    assert registered.recipe == RECIPE


def publish_record(home, name, record):
    folder = home / "artifacts" / name
    folder.mkdir(parents=True, exist_ok=True)
    publish(folder, str(folder), record)


def prepared_record(version):
    return PreparedRecord(
        fingerprint="prepared", dataset_version=version, num_parameters=1, vocab_size=1, num_samples={},
        num_truncated=0, mean_tokens=1.0,
    )  # fmt: skip


def find_record(home, kind, model, wanted):
    records = [read_record(str(path), model) for path in (home / "artifacts" / kind).iterdir()]
    return next(record for record in records if record and wanted(record))
