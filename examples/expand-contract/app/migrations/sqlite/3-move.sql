-- Whatever differs, not only what is empty: a rollback to v1 has changed names that v2 had written.
UPDATE users SET display_name = username WHERE id BETWEEN :first AND :last AND display_name IS NOT username;

-- SQLite changes a constraint by a new table. Writers wait meanwhile.
CREATE TABLE users_new (id integer PRIMARY KEY, username text NOT NULL, display_name text NOT NULL);
INSERT INTO users_new SELECT id, username, display_name FROM users;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
