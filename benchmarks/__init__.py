"""What the README's figures come from: `make bench` runs product and peers in turn, in one run."""
