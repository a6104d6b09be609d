CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, username text NOT NULL);
CREATE TABLE schema_version (version integer NOT NULL);
INSERT INTO schema_version VALUES (0);
