"""Kind webdav: files that a WebDAV server lists by PROPFIND."""
