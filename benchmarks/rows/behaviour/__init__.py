"""What each peer makes of six ordinary cases of a source, told as a table."""
