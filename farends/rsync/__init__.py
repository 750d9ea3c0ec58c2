"""Kind rsync: a daemon, or rsync over SSH."""
