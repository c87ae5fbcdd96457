"""Forgetting documents: the order of steps (`forget`), what is remembered (`forgotten`), where it lay (`holdings`, `traces`), and how
it goes from the newest versions (`erase`) and from old ones (`purge`)."""
