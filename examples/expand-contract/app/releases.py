"""The four releases of the rename. In real life each is a commit of the app; here they stand side by side, as nothing else
differs between them."""

# Each release works with the schema that it is deployed on, and with the next one. The numbers are those of migrations/.
RELEASES = {
    "v1": {  # knows nothing of what comes
        "schema": (1, 2),
        "insert": "INSERT INTO users (username) VALUES (:name) RETURNING id",
        "update": "UPDATE users SET username = :name WHERE id = :id RETURNING id",
        "select": "SELECT id, username FROM users",
    },
    "v2": {  # writes both, reads the old one
        "schema": (2, 3),
        "insert": "INSERT INTO users (username, display_name) VALUES (:name, :name) RETURNING id",
        "update": "UPDATE users SET username = :name, display_name = :name WHERE id = :id RETURNING id",
        "select": "SELECT id, username FROM users",
    },
    "v3": {  # writes both, reads the new one
        "schema": (3, 4),
        "insert": "INSERT INTO users (username, display_name) VALUES (:name, :name) RETURNING id",
        "update": "UPDATE users SET username = :name, display_name = :name WHERE id = :id RETURNING id",
        "select": "SELECT id, display_name FROM users",
    },
    "v4": {  # knows the new one only
        "schema": (4, 5),
        "insert": "INSERT INTO users (display_name) VALUES (:name) RETURNING id",
        "update": "UPDATE users SET display_name = :name WHERE id = :id RETURNING id",
        "select": "SELECT id, display_name FROM users",
    },
}
