"""What speaks to far ends, and knows no Django: the contract, the dialing, a folder per protocol."""
