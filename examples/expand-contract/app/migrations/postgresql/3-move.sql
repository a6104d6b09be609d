-- Whatever differs, not only what is empty: a rollback to v1 has changed names that v2 had written.
UPDATE users SET display_name = username WHERE id BETWEEN :first AND :last AND display_name IS DISTINCT FROM username;

-- Holds for all that is written from now on, and reads nothing.
ALTER TABLE users DROP CONSTRAINT IF EXISTS display_name_filled;
ALTER TABLE users ADD CONSTRAINT display_name_filled CHECK (display_name IS NOT NULL) NOT VALID;

-- Reads the whole table, and lets others write meanwhile. It fails if a row was left out.
ALTER TABLE users VALIDATE CONSTRAINT display_name_filled;

-- Reads nothing, as the constraint proves it.
ALTER TABLE users ALTER COLUMN display_name SET NOT NULL;
ALTER TABLE users DROP CONSTRAINT display_name_filled;
