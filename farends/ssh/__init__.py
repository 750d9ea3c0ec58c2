"""Kind ssh: files through the commands of a remote shell."""
