"""What all commands print alike: errors, help, lists, durations and text for the terminal."""
