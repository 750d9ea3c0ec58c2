"""Jobs and connectors as people write them: forms, REST, YAML."""
