from web2code.modelling.generation import Generator
from web2code.modelling.prompts import CODE_PROMPT

from ..training.conftest import make_prepared
from .test_images import png


def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(tmp_path):
    generator = Generator(make_prepared(tmp_path) / "base")
    images = [png(64, 64, colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 0, 0))]
    prompts = [CODE_PROMPT, "Is the page red? Answer yes or no.", CODE_PROMPT]
    together = generator.generate(images, prompts, 12)
    alone = [generator.generate([image], [prompt], 12)[0] for image, prompt in zip(images, prompts, strict=True)]
    assert together == alone
    assert len(together) == 3
