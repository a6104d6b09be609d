-- v4 will not fill username. From here on v2, which reads it, cannot come back.
CREATE TABLE users_new (id integer PRIMARY KEY, username text, display_name text NOT NULL);
INSERT INTO users_new SELECT id, username, display_name FROM users;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
