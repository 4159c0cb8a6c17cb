"""The model: tokenizer, prompts, base checkpoint, image preprocessing, generation."""
