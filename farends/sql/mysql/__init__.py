"""MySQL and MariaDB as sources of rows."""
