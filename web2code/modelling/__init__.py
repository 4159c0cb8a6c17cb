"""The model: tokenizer, prompts, base checkpoint, dual vision tower, image preprocessing, generation."""
