"""PostgreSQL as a source of rows, by psycopg."""
