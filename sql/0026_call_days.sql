-- What the calls of a day come to, so that nobody has to read a month of calls to see its totals.

CREATE TABLE provisioner.summed_days (day date PRIMARY KEY);
COMMENT ON TABLE provisioner.summed_days IS
    'days of the operator''s calendar of which call_days has the sums';

CREATE TABLE provisioner.call_days (
    day           date NOT NULL,
    project_id    bigint NOT NULL,
    customer_id   bigint NOT NULL,
    direction     text NOT NULL CHECK (direction IN ('in', 'out')),
    calls         bigint NOT NULL,
    seconds       bigint NOT NULL,
    cost_operator numeric NOT NULL,
    cost_customer numeric NOT NULL,
    PRIMARY KEY (day, project_id, customer_id, direction)
);
COMMENT ON COLUMN provisioner.call_days.project_id IS '0: all of the customer';
COMMENT ON COLUMN provisioner.call_days.customer_id IS '0: all calls of the day';

-- Days of which a call was added or changed, some of them more than once: their sums are not true any
-- more. Rows are never shared, so that one that is deleted is one whose change was summed up.
CREATE TABLE provisioner.changed_days (
    id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL
);

-- A day is summed up two hours after its end at the earliest (`day_due`), so a call that has begun
-- within the last hour is of none that is. A call's end must cost next to nothing: only one that is
-- older runs a function.
CREATE FUNCTION provisioner.note_changed_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO provisioner.changed_days (day)
    SELECT (NEW.started_at AT TIME ZONE time_zone)::date FROM provisioner.installation;
    RETURN NULL;
END
$$;
CREATE TRIGGER added_late AFTER INSERT ON provisioner.call_records
    FOR EACH ROW WHEN (NEW.started_at < now() - interval '1 hour')
    EXECUTE FUNCTION provisioner.note_changed_day();

-- Calls are costed, and deleted, many at once.
CREATE FUNCTION provisioner.note_changed_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO provisioner.changed_days (day)
    SELECT DISTINCT (started_at AT TIME ZONE time_zone)::date
      FROM changed, provisioner.installation
     WHERE started_at < now() - interval '1 hour';
    RETURN NULL;
END
$$;
CREATE TRIGGER changed_late AFTER UPDATE ON provisioner.call_records
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION provisioner.note_changed_days();
CREATE TRIGGER deleted_late AFTER DELETE ON provisioner.call_records
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION provisioner.note_changed_days();

REVOKE ALL ON FUNCTION provisioner.note_changed_day(), provisioner.note_changed_days() FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON
    provisioner.summed_days, provisioner.call_days, provisioner.changed_days TO provisioner;
