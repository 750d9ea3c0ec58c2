"""Child processes that can hurt nobody: what they may use and reach is limited before they see a byte of a stranger."""
