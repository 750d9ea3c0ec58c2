"""The work: jobs, schedules, records."""
