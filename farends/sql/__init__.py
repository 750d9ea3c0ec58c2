"""Kind sql: tables of PostgreSQL, MySQL and MariaDB."""
