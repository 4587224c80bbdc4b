-- What each account's calls of a day come to, beside what all calls of the day do (0026): nor need anybody
-- read the month of a busy account, or the month of all, to see its totals.

-- A worker of the version before sums up a day without it.
ALTER TABLE provisioner.summed_days ADD COLUMN accounts boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN provisioner.summed_days.accounts IS 'account_days has the sums of the day, too';

CREATE TABLE provisioner.account_days (
    day            date NOT NULL,
    account_id     bigint NOT NULL,
    project_id     bigint NOT NULL,
    customer_id    bigint NOT NULL,
    direction      text NOT NULL CHECK (direction IN ('in', 'out')),
    account_number text NOT NULL,
    project_name   text NOT NULL,
    customer_name  text NOT NULL,
    calls          bigint NOT NULL,
    seconds        bigint NOT NULL,
    unrated        bigint NOT NULL,
    cost_operator  numeric NOT NULL,
    cost_customer  numeric NOT NULL,
    PRIMARY KEY (day, account_id, project_id, customer_id, direction)
);
COMMENT ON COLUMN provisioner.account_days.account_number IS
    'of a number or name that was changed within the day, the greatest';
COMMENT ON COLUMN provisioner.account_days.unrated IS 'calls that lack a cost';
CREATE INDEX account_days_project_idx ON provisioner.account_days (project_id, day);
CREATE INDEX account_days_customer_idx ON provisioner.account_days (customer_id, day);

GRANT SELECT, INSERT, DELETE ON provisioner.account_days TO provisioner;
