"""What JSON looks like: shapes, and pure functions that fill them from rows. No view stands here, so that every surface for
programs tells the same."""
