"""The registered model as MLflow loads it: a base64 image and a prompt in, HTML out."""

from __future__ import annotations

import base64
from pathlib import Path

import mlflow
import pandas as pd


class ScreenshotToHtml(mlflow.pyfunc.PythonModel):
    """Columns `image` (base64 of a PNG or JPEG) and `prompt` (empty asks for the page's HTML)."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Load the checkpoint that was logged with the model."""
        from web2code.modelling.generation import Generator  # heavy: only where the model is used

        self.generator = Generator(Path(context.artifacts["checkpoint"]))

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> list[str]:
        """The HTML of every row."""
        from web2code.modelling.templates import CODE_PROMPT

        images = [base64.b64decode(image, validate=True) for image in model_input["image"]]
        prompts = [prompt or CODE_PROMPT for prompt in model_input["prompt"]]
        return self.generator.generate(images, prompts, int((params or {}).get("max_new_tokens", 320)))


mlflow.models.set_model(ScreenshotToHtml())
