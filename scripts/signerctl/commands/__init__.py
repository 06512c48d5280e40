"""The commands of signerctl, one module per command."""
