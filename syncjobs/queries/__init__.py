"""What is asked of records, and changes nothing. Lifecycle and surfaces stand above."""
