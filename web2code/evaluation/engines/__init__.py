"""What answers a benchmark's questions: models in vLLM, in transformers, or behind an OpenAI-compatible server."""
