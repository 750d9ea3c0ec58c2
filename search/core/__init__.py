"""What a text is, how it is cut, and which words it holds. Pure: no Django, clock, disk, network or randomness."""
