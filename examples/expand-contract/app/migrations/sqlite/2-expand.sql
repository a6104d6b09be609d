-- May be empty: v1, which runs, knows nothing of it.
ALTER TABLE users ADD COLUMN display_name text;
