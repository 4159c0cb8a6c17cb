"""vLLM on lists of token ids, in its own environment: `python -m ...vllm_worker MODEL PROMPTS OUT DEVICES`."""

import json
import sys
from pathlib import Path


def main(model, prompts, out, devices):
    """Write of each prompt the greedy answer and the log-probabilities of every token at every position but one."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        model, skip_tokenizer_init=True, dtype="float32", enforce_eager=True, max_logprobs=-1,
        tensor_parallel_size=int(devices),
    )  # fmt: skip
    params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True, prompt_logprobs=-1, detokenize=False)
    asked = [{"prompt_token_ids": ids} for ids in json.loads(Path(prompts).read_text())]
    answers = llm.generate(asked, params, use_tqdm=False)
    Path(out).write_text(json.dumps([
        {
            "answer": list(answer.outputs[0].token_ids),
            "logprobs": [
                [logprobs[token].logprob for token in sorted(logprobs)] for logprobs in answer.prompt_logprobs[1:]
            ],
        }
        for answer in answers
    ]))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
