"""Kind sftp: files over the SSH File Transfer Protocol."""
