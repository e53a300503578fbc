//! Pure: is this path backed up, and why (not); is this rename a move or a save.
