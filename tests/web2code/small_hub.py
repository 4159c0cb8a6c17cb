"""What was fetched from the hub before, for code that does not reach it now."""

from pathlib import Path

OLD, NEW = "a" * 40, "b" * 40


def fetched_before(monkeypatch, cache: Path) -> dict[str, Path]:
    """By commit the folder of `owner/toy`, of which `main` was the old one when it was fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = cache / "models--owner--toy"
    folders = {commit: model / "snapshots" / commit for commit in (OLD, NEW)}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(OLD)
    return folders
