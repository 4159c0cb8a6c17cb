"""What a model's answers are worth: pages compared with pages, yes/no answers with the truth."""
