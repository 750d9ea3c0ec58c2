"""The work of jobs that copy rows: read, stage, plan, publish a version of each table."""
