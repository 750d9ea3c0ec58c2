"""What surfaces ask of records and of the machine: read-only, over whatever session is given."""
