-- May be empty: v1, which runs, knows nothing of it. Without a default nothing is rewritten.
ALTER TABLE users ADD COLUMN display_name text;
