"""The index over what datasets hold: text, words, vectors, and the questions that are asked of them."""
