"""What several protocols share on the wire."""
