"""One SSH connection: keys, log-in, channels and remote commands, for sftp, ssh and rsync."""
