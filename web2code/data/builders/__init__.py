"""Builders of Web2Code's four parts, a file each: from a writer or from refined public data to samples."""
