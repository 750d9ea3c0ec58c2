"""Text out of files of many formats. Knows no Django; parsers of untrusted structure run in a limited child process."""
