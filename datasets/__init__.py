"""What we hold: blobs, versions, entries."""
