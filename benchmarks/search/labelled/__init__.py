"""Questions whose right answers are known, over documents that every machine with this project has."""
