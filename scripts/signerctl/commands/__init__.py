"""The commands of `signerctl ca`, one module for each."""
