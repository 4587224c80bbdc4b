-- API tokens.

-- name: token
SELECT id, name, role, project_id FROM provisioner.api_tokens WHERE sha256 = %(sha256)s;

-- name: token_insert
INSERT INTO provisioner.api_tokens (name, role, project_id, sha256)
SELECT %(name)s, %(role)s, min(id), %(sha256)s FROM provisioner.projects;
