-- What the page that creates an account needs: numbers to choose from, and settings handed to a phone.

-- Few of many numbers are choosable; the operator finds them by number, a customer by number, too.
CREATE INDEX numbers_choosable_idx ON provisioner.numbers (number)
    WHERE state = 'active' AND account_id IS NULL;
CREATE INDEX numbers_choosable_customer_idx ON provisioner.numbers (customer_id, number)
    WHERE state = 'active' AND account_id IS NULL;

CREATE VIEW provisioner.choosable_numbers AS
SELECT numbers.number, numbers.customer_id, numbers.project_id,
       projects.name AS project, customers.name AS customer
  FROM provisioner.numbers
  JOIN provisioner.projects ON projects.id = numbers.project_id
  JOIN provisioner.customers ON customers.id = projects.customer_id
 WHERE numbers.state = 'active' AND numbers.account_id IS NULL;

-- Settings that a phone fetches once. The key that opens them is made of the same secret as
-- `sha256`, so that what is stored here tells nobody anything.
CREATE TABLE provisioner.handovers (
    account_id bigint PRIMARY KEY REFERENCES provisioner.sip_accounts ON DELETE CASCADE,
    sha256     bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    sealed     text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX handovers_expires_idx ON provisioner.handovers (expires_at);

GRANT SELECT ON provisioner.choosable_numbers TO provisioner;
GRANT SELECT, INSERT, UPDATE, DELETE ON provisioner.handovers TO provisioner;
