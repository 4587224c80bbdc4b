-- What calls cost: rates by the longest prefix that fits, with dates; and how records get their costs.

CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA provisioner;

CREATE TABLE provisioner.rates (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    side             text NOT NULL CHECK (side IN ('operator', 'customer')),
    prefix           text NOT NULL CHECK (prefix ~ '^(\+[1-9][0-9]{0,14})?$'),
    description      text NOT NULL CHECK (char_length(description) <= 120),
    connection_fee   numeric(10,6) NOT NULL CHECK (connection_fee BETWEEN 0 AND 1000),
    price_per_minute numeric(10,6) NOT NULL CHECK (price_per_minute BETWEEN 0 AND 1000),
    first_interval   integer NOT NULL CHECK (first_interval BETWEEN 1 AND 3600),
    next_interval    integer NOT NULL CHECK (next_interval BETWEEN 1 AND 3600),
    flat             boolean NOT NULL CHECK (side = 'customer' OR NOT flat),
    valid_from       timestamptz NOT NULL,
    valid_until      timestamptz,
    stated_until     timestamptz,
    key              bigint NOT NULL GENERATED ALWAYS AS
                     (('0' || substr(prefix, 2))::bigint * 2 + (side = 'customer')::integer) STORED,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CHECK (valid_until > valid_from),
    CONSTRAINT rates_one_at_a_time
        EXCLUDE USING gist (key WITH =, tstzrange(valid_from, valid_until) WITH &&)
);
CREATE INDEX rates_lookup_idx ON provisioner.rates (prefix, side, valid_from);
COMMENT ON COLUMN provisioner.rates.flat IS 'free of charge where the flat tariff is in force';
COMMENT ON COLUMN provisioner.rates.stated_until IS 'the end that its file gave it, if any';
COMMENT ON COLUMN provisioner.rates.valid_until IS
    'the stated end, or where the next rate of the side and prefix begins if that is earlier';
COMMENT ON COLUMN provisioner.rates.key IS
    'side and prefix in one number, of which the index is many times faster than of texts';

-- Counts the imports of rates, in their transactions: a record for which there was no rate is looked
-- at again when there may be one, not before.
CREATE TABLE provisioner.rating (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO provisioner.rating (version) VALUES (1);

CREATE FUNCTION provisioner.prefixes(number text) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$ SELECT array_agg(left(number, n)) FROM generate_series(0, least(length(number), 16)) AS n $$;

-- The rate of a side for a called number at a time: that of the longest prefix.
CREATE FUNCTION provisioner.rate_in_force(the_side text, number text, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE
AS $$
SELECT id
  FROM provisioner.rates
 WHERE side = the_side AND prefix = ANY (provisioner.prefixes(number))
   AND valid_from <= at AND (valid_until IS NULL OR valid_until > at)
 ORDER BY length(prefix) DESC
 LIMIT 1
$$;

CREATE INDEX project_spend_running_idx ON provisioner.project_spend (project_id) WHERE running <> 0;

-- Call records as they are listed, with their times as the operator's clocks show them.
CREATE VIEW provisioner.call_record_status AS
SELECT record.*,
       to_char(coalesce(answered_at, started_at) AT TIME ZONE time_zone, 'YYYY-MM-DD HH24:MI:SS')
           AS local_start,
       to_char(ended_at AT TIME ZONE time_zone, 'YYYY-MM-DD HH24:MI:SS') AS local_end
  FROM provisioner.call_records AS record, provisioner.installation;

GRANT SELECT, INSERT, UPDATE (valid_until), DELETE ON provisioner.rates TO provisioner;
GRANT SELECT, UPDATE ON provisioner.rating TO provisioner;
GRANT SELECT ON provisioner.call_record_status TO provisioner;
