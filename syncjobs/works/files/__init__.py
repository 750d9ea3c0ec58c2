"""The work of jobs that copy files: list, compare, fetch, publish a version, clear the source."""
