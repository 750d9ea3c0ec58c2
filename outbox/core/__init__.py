"""What a reading is, how it looks on the wire, and what an answer means. Pure: no clock, database or network."""
