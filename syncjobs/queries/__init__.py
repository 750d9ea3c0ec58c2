"""What is asked of records and of the machine, and changes nothing. Lifecycle and surfaces stand above."""
