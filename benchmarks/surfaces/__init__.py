"""The REST surface over a million records, beside a view that only selects fifty rows."""
