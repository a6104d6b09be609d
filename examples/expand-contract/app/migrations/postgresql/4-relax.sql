-- v4 will not fill it. From here on v2, which reads it, cannot come back.
ALTER TABLE users ALTER COLUMN username DROP NOT NULL;
