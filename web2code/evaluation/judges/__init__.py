"""Models as judges: what they are asked, what of their replies is trusted, and how far they agree."""
