-- People who log in: passwords, second factors, invitations, sessions; and forms that act once.

ALTER TABLE provisioner.users
    ADD COLUMN password_hash text,
    ADD COLUMN password_changed_at timestamptz,
    ADD COLUMN totp_sealed text,
    ADD COLUMN totp_counter bigint NOT NULL DEFAULT 0,
    ADD COLUMN has_password boolean GENERATED ALWAYS AS (password_hash IS NOT NULL) STORED,
    ADD COLUMN has_second_factor boolean GENERATED ALWAYS AS (totp_sealed IS NOT NULL) STORED,
    ADD COLUMN language text NOT NULL DEFAULT 'it' CHECK (language IN ('it', 'en'));
COMMENT ON COLUMN provisioner.users.password_hash IS 'argon2id; null: cannot log in yet';
COMMENT ON COLUMN provisioner.users.totp_sealed IS
    'the secret of the second factor (RFC 6238), sealed; null: he has none';
COMMENT ON COLUMN provisioner.users.totp_counter IS
    'the time step of the last code that was taken, so that none is taken twice';
CREATE INDEX users_login_idx ON provisioner.users (lower(email), id) WHERE password_hash IS NOT NULL;

-- Whoever holds the text of an invitation chooses the user's password, once.
CREATE TABLE provisioner.invitations (
    user_id    bigint PRIMARY KEY REFERENCES provisioner.users ON DELETE CASCADE,
    sha256     bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    expires_at timestamptz NOT NULL
);

CREATE TABLE provisioner.sessions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256       bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    user_id      bigint NOT NULL REFERENCES provisioner.users ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    source       inet,
    user_agent   text NOT NULL DEFAULT ''
);
CREATE INDEX sessions_user_idx ON provisioner.sessions (user_id);
CREATE INDEX sessions_last_seen_idx ON provisioner.sessions (last_seen_at);

-- A form that is sent twice acts once: its key is claimed in the transaction that acts.
CREATE TABLE provisioner.submissions (
    user_id    bigint NOT NULL REFERENCES provisioner.users ON DELETE CASCADE,
    key        text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 64),
    location   text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX submissions_created_idx ON provisioner.submissions (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON
    provisioner.invitations, provisioner.sessions, provisioner.submissions TO provisioner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA provisioner TO provisioner;
