"""Brings the index of a dataset to its current version: text first, then vectors.

The text of a content that no current entry names is kept for a while (`IndexedText.gone_at`), so that a rollback finds
it with its vectors. A text that is made again keeps the ids of those chunks whose digest stays. So a vector by chunk
is lost only when its text is deleted, and that happens after the vectors of the new texts were copied by digest.
"""
