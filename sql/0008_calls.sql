-- Calls: where each one goes, the channels that it occupies, and the record that it leaves.
--
-- A call is one or more legs, each of one account: a call from one account to another is an outgoing
-- leg of the first and an incoming leg of the second. A leg is a row for as long as the call lasts,
-- and so is the channel that it occupies; when the call ends, the row becomes a call record. So a
-- count can neither drift from the calls that it counts, nor miss a record.
--
-- Kamailio asks once for each call (place_call), and tells when it is answered and when it ends. It
-- sees these functions only, not the tables.

-- The operator's carriers, and where calls of accounts that are linked to Teams go.
INSERT INTO provisioner.networks (name, source_group) VALUES ('carriers', 2);

CREATE TABLE provisioner.trunks (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL CONSTRAINT trunks_name_key UNIQUE CHECK (char_length(name) BETWEEN 1 AND 120),
    kind       text NOT NULL CHECK (kind IN ('carrier', 'teams')),
    project_id bigint REFERENCES provisioner.projects,
    host       text NOT NULL CHECK (char_length(host) BETWEEN 1 AND 253)
               CHECK (host ~ '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+)$'),
    port       integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    transport  text NOT NULL CHECK (transport IN ('udp', 'tcp', 'tls')),
    priority   integer NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 100),
    keepalive  boolean NOT NULL DEFAULT false,
    fqdn       text CHECK (char_length(fqdn) BETWEEN 1 AND 253)
               CHECK (fqdn ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'teams') = (project_id IS NOT NULL)),
    CHECK ((kind = 'teams') = (fqdn IS NOT NULL))
);
CREATE INDEX trunks_project_idx ON provisioner.trunks (project_id);
COMMENT ON COLUMN provisioner.trunks.priority IS 'the higher one is tried first';
COMMENT ON COLUMN provisioner.trunks.keepalive IS
    'asked by OPTIONS whether it is there, and not used while it does not answer';
COMMENT ON COLUMN provisioner.trunks.fqdn IS
    'what Teams knows the project by: in Contact and Record-Route of what is sent there';

-- What Kamailio's dispatcher module reads. Set 1 is the carriers; a project's Teams trunks are set
-- 1000 + its id. Teams is always asked by OPTIONS whether it is there (flag 8). A host name is resolved
-- when a call goes there (16): one that cannot be resolved when the list is loaded would fail the
-- loading of all of them.
CREATE VIEW kamailio.dispatcher AS
SELECT id,
       CASE kind WHEN 'carrier' THEN 1 ELSE 1000 + project_id END::integer AS setid,
       format('sip:%s:%s%s', CASE WHEN host LIKE '%:%' THEN '[' || host || ']' ELSE host END, port,
              CASE transport WHEN 'udp' THEN '' ELSE ';transport=' || transport END) AS destination,
       CASE WHEN keepalive OR kind = 'teams' THEN 8 ELSE 0 END
           + CASE WHEN host ~ '[a-z:]' THEN 16 ELSE 0 END AS flags,
       priority,
       CASE kind WHEN 'teams' THEN format('fqdn=%s;ping_from=sip:%s', fqdn, fqdn) ELSE '' END AS attrs,
       name AS description
  FROM provisioner.trunks;
INSERT INTO kamailio.version (table_name, table_version) VALUES ('dispatcher', 4);

-- Guard rails against toll fraud. Of all prefixes that fit a destination the longest decides; where
-- no prefix is allowed by name, all destinations are but the blocked ones.
ALTER TABLE provisioner.projects
    ADD COLUMN allowed_prefixes text[] NOT NULL DEFAULT '{}',
    -- Italy's premium numbers, satellites, and international premium and shared networks.
    ADD COLUMN blocked_prefixes text[] NOT NULL DEFAULT
        '{+39144,+39163,+39164,+39165,+39166,+39178,+39199,+39892,+39893,+39894,+39895,+39896,+39897,
          +39898,+39899,+870,+878,+881,+882,+883,+888,+979}',
    ADD COLUMN daily_spend_cap numeric(12,2) CHECK (daily_spend_cap >= 0),
    ADD COLUMN calls_per_second integer NOT NULL DEFAULT 20 CHECK (calls_per_second BETWEEN 1 AND 1000);
COMMENT ON COLUMN provisioner.projects.daily_spend_cap IS
    'euro of what the customer pays for calls of one day of the operator''s calendar; null: no cap';

-- In whose calendar days begin and months end.
ALTER TABLE provisioner.installation ADD COLUMN time_zone text NOT NULL DEFAULT 'Europe/Rome';

-- What a project's calls of a day cost so far: those that are over, and those that are not.
CREATE TABLE provisioner.project_spend (
    project_id bigint NOT NULL,
    day        date NOT NULL,
    amount     numeric(18,4) NOT NULL DEFAULT 0,
    running    numeric(18,4) NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day)
);

-- Calls that were refused, one row an account and reason; whoever tells of it clears `untold`. A flood of
-- refusals writes one row again and again: without an index on what it changes that leaves nothing
-- behind but dead versions on the row's own page, which the next write reuses.
CREATE TABLE provisioner.call_refusals (
    account_id bigint NOT NULL,
    reason     text NOT NULL CHECK (reason IN
               ('channels', 'destination', 'spend_cap', 'call_rate')),
    direction  text NOT NULL CHECK (direction IN ('in', 'out')),
    called     text NOT NULL,
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    calls      bigint NOT NULL DEFAULT 1,
    untold     bigint NOT NULL DEFAULT 1,
    told_at    timestamptz,
    PRIMARY KEY (account_id, reason)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON COLUMN provisioner.call_refusals.untold IS 'calls refused since a hook told of it last';

-- A node counts for as long as its lease runs; it renews it every few seconds. A restarted node has
-- another name, so that the calls of the process before it count no longer than its lease.
CREATE TABLE kamailio.node_leases (
    node    text PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    expires timestamptz NOT NULL
);

CREATE SEQUENCE kamailio.call_ids;

CREATE TABLE kamailio.calls (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call           bigint NOT NULL,
    account_id     bigint NOT NULL,
    account_number text NOT NULL,
    customer_id    bigint NOT NULL,
    project_id     bigint NOT NULL,
    tariff         text NOT NULL,
    direction      text NOT NULL CHECK (direction IN ('in', 'out')),
    counted        boolean NOT NULL,
    emergency      boolean NOT NULL,
    caller         text NOT NULL,
    called         text NOT NULL,
    node           text NOT NULL,
    dialog_entry   bigint NOT NULL,
    dialog_id      bigint NOT NULL,
    sip_call_id    text NOT NULL,
    sip_cseq       bigint NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at    timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX calls_account_idx ON kamailio.calls (account_id);
CREATE INDEX calls_call_idx ON kamailio.calls (call);
CREATE INDEX calls_node_idx ON kamailio.calls (node);
COMMENT ON COLUMN kamailio.calls.call IS 'shared by all legs of a call';
COMMENT ON COLUMN kamailio.calls.counted IS
    'whether it occupies a channel; the leg to where a call was transferred does not';
COMMENT ON COLUMN kamailio.calls.sip_call_id IS 'in hexadecimal: whoever calls chooses its bytes';

-- Since when the database has been there without a break, as far as whoever looks for lost calls
-- can tell. However it was away (a restart, a standby that took over, a machine that stood still),
-- leases ran out meanwhile, and nodes need a moment to renew them.
CREATE TABLE kamailio.watch (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    since   timestamptz NOT NULL,
    last_at timestamptz NOT NULL
);

-- The legs that count: those on nodes whose lease runs. For a while after the database was away nodes
-- have not had the time to renew their leases: until then all of them count.
CREATE VIEW provisioner.live_calls AS
SELECT calls.id, calls.account_id, calls.customer_id, calls.project_id, calls.direction,
       calls.counted, calls.emergency, calls.caller, calls.called,
       CASE WHEN calls.answered_at IS NULL THEN 'ringing' ELSE 'answered' END AS state,
       calls.started_at, calls.answered_at, split_part(calls.node, '/', 1) AS node
  FROM kamailio.calls
  LEFT JOIN kamailio.node_leases AS lease USING (node)
 WHERE lease.expires > now()
    OR greatest(pg_postmaster_start_time(), (SELECT since FROM kamailio.watch))
       > now() - interval '20 s';

-- How many calls an account has started within the present second.
CREATE UNLOGGED TABLE kamailio.call_rates (
    account_id bigint PRIMARY KEY,
    second     bigint NOT NULL,
    calls      integer NOT NULL
) WITH (fillfactor = 50);

-- One a leg, by account: the next owner of a number never sees those of the former one. Names are as
-- they were; nothing is referred to, because records outlive what they name.
CREATE TABLE provisioner.call_records (
    id             bigint PRIMARY KEY,
    call           bigint NOT NULL,
    account_id     bigint NOT NULL,
    account_number text NOT NULL,
    customer_id    bigint NOT NULL,
    customer_name  text NOT NULL,
    project_id     bigint NOT NULL,
    project_name   text NOT NULL,
    tariff         text NOT NULL CHECK (tariff IN ('pay_per_use', 'flat')),
    direction      text NOT NULL CHECK (direction IN ('in', 'out')),
    transferred    boolean NOT NULL,
    emergency      boolean NOT NULL,
    caller         text NOT NULL,
    called         text NOT NULL,
    node           text NOT NULL,
    started_at     timestamptz NOT NULL,
    answered_at    timestamptz,
    ended_at       timestamptz NOT NULL,
    duration       integer NOT NULL CHECK (duration >= 0),
    status         integer NOT NULL,
    node_lost      boolean NOT NULL,
    cost_operator  numeric(18,4),
    cost_customer  numeric(18,4),
    rated_at       timestamptz,
    missed_rates   bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN provisioner.call_records.missed_rates IS
    'the version of the rates among which none fitted; 0: not looked for';
COMMENT ON COLUMN provisioner.call_records.duration IS
    'seconds from answer to end, both without their fractions; 0 where nobody answered';
COMMENT ON COLUMN provisioner.call_records.status IS 'the SIP status that it ended with; 200: answered';
COMMENT ON COLUMN provisioner.call_records.node_lost IS
    'the end is when its node was heard of last';
COMMENT ON COLUMN provisioner.call_records.rated_at IS 'null: it has yet to be costed';
CREATE INDEX call_records_started_idx ON provisioner.call_records (started_at, id);
CREATE INDEX call_records_account_idx ON provisioner.call_records (account_id, started_at, id);
CREATE INDEX call_records_project_idx ON provisioner.call_records (project_id, started_at, id);
CREATE INDEX call_records_customer_idx ON provisioner.call_records (customer_id, started_at, id);
CREATE INDEX call_records_unrated_idx ON provisioner.call_records (missed_rates, id)
    WHERE rated_at IS NULL;

-- A leg that is to be, and where a call goes. status 0: it can be tried; otherwise what the caller
-- is answered.
CREATE TYPE kamailio.leg AS (
    account_id bigint, direction text, counted boolean, caller text, called text
);
CREATE TYPE kamailio.route AS (
    status integer, reason text, target text, username text, number text, set_id integer,
    ring_seconds integer, diverting bigint, history text, cause text, legs kamailio.leg[]
);

CREATE FUNCTION kamailio.route_refused(status integer, reason text) RETURNS kamailio.route
LANGUAGE sql IMMUTABLE
AS $$ SELECT ROW(status, reason, 'none', '', '', 0, 0, 0, '', '', '{}')::kamailio.route $$;

-- May a project's accounts call a number? The longest prefix that fits decides.
CREATE FUNCTION kamailio.destination_allowed(project bigint, number text) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (
        SELECT coalesce((SELECT max(length(prefix)) FROM unnest(allowed_prefixes) AS prefix
                          WHERE starts_with(number, prefix)),
                        CASE allowed_prefixes WHEN '{}' THEN 0 ELSE -1 END)
               > coalesce((SELECT max(length(prefix)) FROM unnest(blocked_prefixes) AS prefix
                            WHERE starts_with(number, prefix)), -1)
          FROM provisioner.projects WHERE id = project);
END
$$;

CREATE FUNCTION kamailio.spend_left(project bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (
        SELECT daily_spend_cap IS NULL
               OR daily_spend_cap > coalesce(
                   (SELECT amount + running
                      FROM provisioner.project_spend
                     WHERE project_id = project
                       AND day = (now() AT TIME ZONE (SELECT time_zone
                                                        FROM provisioner.installation))::date),
                   0)
          FROM provisioner.projects WHERE id = project);
END
$$;

CREATE FUNCTION kamailio.note_refusal(account bigint, why text, way text, number text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO provisioner.call_refusals (account_id, reason, direction, called)
    VALUES (account, why, way, number)
    ON CONFLICT (account_id, reason) DO UPDATE
       SET direction = excluded.direction, called = excluded.called, last_at = now(),
           calls = call_refusals.calls + 1, untold = call_refusals.untold + 1;
END
$$;

-- May an account's call leave by a carrier, at the account's cost? Empty: it may.
CREATE FUNCTION kamailio.outgoing_refusal(account bigint, number text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    project bigint := (SELECT project_id FROM provisioner.sip_accounts WHERE id = account);
BEGIN
    IF NOT kamailio.destination_allowed(project, number) THEN
        PERFORM kamailio.note_refusal(account, 'destination', 'out', number);
        RETURN 'Destination Not Allowed';
    ELSIF NOT kamailio.spend_left(project) THEN
        PERFORM kamailio.note_refusal(account, 'spend_cap', 'out', number);
        RETURN 'Daily Spend Cap Reached';
    END IF;
    RETURN '';
END
$$;

-- Follows a called number to the devices, trunk or carrier that the call goes to, through every
-- transfer that holds whether or not a device answers. `diverting` is the account whose transfer led
-- here (0: none), `visited` the accounts that have been called so far.
CREATE FUNCTION kamailio.find_target(
    called text, caller text, from_trunk boolean, diverted_by bigint, why text, past text,
    visited bigint[]
) RETURNS kamailio.route
LANGUAGE plpgsql
AS $$
DECLARE
    r kamailio.route := kamailio.route_refused(0, '');
    callee record;
    divert record;
    refusal text;
BEGIN
    r.number := called;
    r.diverting := diverted_by;
    r.cause := why;
    r.history := past;
    LOOP
        SELECT * INTO callee FROM kamailio.did WHERE number = r.number;
        IF NOT FOUND THEN
            -- A carrier's call is for our numbers, not to be passed on to another carrier.
            IF (from_trunk AND r.diverting = 0)
               OR EXISTS (SELECT FROM provisioner.numbers WHERE number = r.number) THEN
                RETURN kamailio.route_refused(404, 'Not Found');
            END IF;
            IF r.diverting > 0 THEN
                refusal := kamailio.outgoing_refusal(r.diverting, r.number);
                IF refusal <> '' THEN
                    RETURN kamailio.route_refused(480, 'Temporarily Unavailable');
                END IF;
            END IF;
            r.target := 'carrier';
            r.set_id := 1;
            RETURN r;
        END IF;
        IF callee.account_id = ANY (visited) OR cardinality(visited) >= 5 THEN
            RETURN kamailio.route_refused(482, 'Loop Detected');
        END IF;
        visited := visited || callee.account_id;
        r.legs := r.legs || ROW(callee.account_id, 'in', true, caller, r.number)::kamailio.leg;
        r.username := callee.username;
        SELECT * INTO divert
          FROM kamailio.call_transfer AS transfer
         WHERE transfer.account_id = callee.account_id
           AND (transfer.condition = 'unconditional'
                OR (transfer.condition = 'unreachable' AND callee.state = 'disabled'));
        IF NOT FOUND THEN
            EXIT;
        END IF;
        r.legs := r.legs
            || ROW(callee.account_id, 'out', false, r.number, divert.target)::kamailio.leg;
        r.history := concat_ws(',', nullif(r.history, ''), r.number);
        r.cause := divert.condition;
        r.diverting := callee.account_id;
        r.number := divert.target;
    END LOOP;
    IF callee.state = 'disabled' THEN
        RETURN kamailio.route_refused(480, 'Temporarily Unavailable');
    END IF;
    r.ring_seconds := coalesce((SELECT after_seconds FROM kamailio.call_transfer AS transfer
                                 WHERE transfer.account_id = callee.account_id
                                   AND transfer.condition = 'no_answer'), 0);
    IF callee.state = 'linked_to_teams' THEN
        r.target := 'teams';
        r.set_id := 1000 + (SELECT project_id FROM provisioner.sip_accounts
                             WHERE id = callee.account_id);
    ELSE
        r.target := 'devices';
    END IF;
    RETURN r;
END
$$;

CREATE FUNCTION kamailio.renew_lease(the_node text) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
INSERT INTO kamailio.node_leases (node, seen_at, expires)
VALUES (the_node, clock_timestamp(), clock_timestamp() + interval '15 s')
ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at, expires = excluded.expires
RETURNING 1
$$;

-- How many channels of an account are in use.
CREATE FUNCTION kamailio.channels_used(account bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT count(*) FROM provisioner.live_calls WHERE account_id = account AND counted);
END
$$;

-- Writes the legs of a call, or none of them where a channel is missing. `rated_account` is the
-- account whose calls a second are counted (0: none's). Of a full account the channel that is missing
-- is named: {account, direction}; NULL where all legs are written.
CREATE FUNCTION kamailio.add_legs(
    the_call bigint, legs kamailio.leg[], limited boolean, rated_account bigint,
    the_node text, entry bigint, dialog bigint, the_call_id text, the_cseq bigint,
    OUT call bigint, OUT missing text, OUT missing_account bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    wanted record;
    started integer;
BEGIN
    call := coalesce(nullif(the_call, 0), nextval('kamailio.call_ids'));
    IF NOT EXISTS (SELECT FROM kamailio.node_leases
                    WHERE node = the_node AND expires > now() + interval '3 s') THEN
        PERFORM kamailio.renew_lease(the_node);
    END IF;
    -- In one order, so that two calls between the same accounts do not wait for each other. What
    -- is read after a lock includes what its former holder wrote.
    FOR wanted IN
        SELECT leg.account_id, count(*) AS channels, min(leg.direction) AS direction
          FROM unnest(legs) AS leg WHERE leg.counted GROUP BY 1 ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(hashtext('provisioner calls'), wanted.account_id::integer);
        IF limited AND kamailio.channels_used(wanted.account_id) + wanted.channels
                > (SELECT voice_channels FROM provisioner.sip_accounts WHERE id = wanted.account_id)
        THEN
            missing := CASE WHEN wanted.account_id = rated_account THEN 'out' ELSE 'in' END;
            missing_account := wanted.account_id;
            RETURN;
        END IF;
    END LOOP;
    IF limited AND rated_account > 0 THEN
        INSERT INTO kamailio.call_rates AS rate (account_id, second, calls)
        VALUES (rated_account, extract(epoch FROM clock_timestamp())::bigint, 1)
        ON CONFLICT (account_id) DO UPDATE
           SET calls = CASE rate.second WHEN excluded.second THEN rate.calls + 1 ELSE 1 END,
               second = excluded.second
        RETURNING calls INTO started;
        IF started > (SELECT calls_per_second FROM provisioner.projects
                       WHERE id = (SELECT project_id FROM provisioner.sip_accounts
                                    WHERE id = rated_account)) THEN
            missing := 'rate';
            missing_account := rated_account;
            RETURN;
        END IF;
    END IF;
    INSERT INTO kamailio.calls
           (call, account_id, account_number, customer_id, project_id, tariff, direction, counted,
            emergency, caller, called, node, dialog_entry, dialog_id, sip_call_id, sip_cseq)
    SELECT add_legs.call, account.id, account.main_number, account.customer_id, account.project_id,
           account.tariff, leg.direction, leg.counted, NOT limited, leg.caller, leg.called, the_node,
           entry, dialog, the_call_id, the_cseq
      FROM unnest(legs) WITH ORDINALITY AS leg
      JOIN provisioner.sip_accounts AS account ON account.id = leg.account_id
     ORDER BY leg.ordinality;
END
$$;

-- The number that an account presents to a destination; empty where it presents none.
CREATE FUNCTION kamailio.presented_number(account bigint, destination text) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN coalesce(
        (SELECT coalesce(rule.number, '')
           FROM kamailio.caller_id AS rule
          WHERE rule.account_id = account AND starts_with(destination, rule.destination_prefix)
          ORDER BY length(rule.destination_prefix) DESC
          LIMIT 1),
        (SELECT main_number FROM provisioner.sip_accounts WHERE id = account));
END
$$;

-- What Kamailio learns of a call: `status` 0 and where to send it, or what to answer.
--   target        devices (of `username`), carrier or teams (dispatcher set `set_id`), none
--   presented     the number to present, empty for none; NULL: as it came
--   asserted      the number that a trunk is told whatever is presented; NULL: as it came
--   ring_seconds  how long devices ring before it is asked again; 0: as long as they like
--   history       the numbers that transferred the call, first to last, with commas between
--   cause         why the last of them did
CREATE TYPE kamailio.decision AS (
    call bigint, status integer, reason text, target text, username text, number text,
    set_id integer, ring_seconds integer, presented text, asserted text, history text, cause text
);

CREATE FUNCTION kamailio.decide(
    the_call bigint, caller_account bigint, presented text, asserted text,
    r kamailio.route, limited boolean,
    node text, entry bigint, dialog bigint, call_id text, cseq bigint
) RETURNS kamailio.decision
LANGUAGE plpgsql
AS $$
DECLARE
    d kamailio.decision;
    added record;
BEGIN
    d.call := the_call;
    d.status := r.status;
    d.reason := r.reason;
    IF r.status = 0 THEN
        SELECT * INTO added FROM kamailio.add_legs(
            the_call, r.legs, limited, caller_account, node, entry, dialog, call_id, cseq);
        IF added.missing = 'rate' THEN
            PERFORM kamailio.note_refusal(added.missing_account, 'call_rate', 'out', r.number);
            d.status := 403;
            d.reason := 'Call Rate Exceeded';
        ELSIF added.missing = 'out' THEN
            PERFORM kamailio.note_refusal(added.missing_account, 'channels', 'out', r.number);
            d.status := 403;
            d.reason := 'Channel Limit Reached';
        ELSIF added.missing = 'in' THEN
            PERFORM kamailio.note_refusal(added.missing_account, 'channels', 'in', r.number);
            d.status := 486;
            d.reason := 'Busy Here';
        END IF;
    END IF;
    IF d.status <> 0 THEN
        d.target := 'none';
        RETURN d;
    END IF;
    d.call := added.call;
    d.target := r.target;
    d.username := r.username;
    d.number := r.number;
    d.set_id := r.set_id;
    d.ring_seconds := r.ring_seconds;
    d.history := r.history;
    d.cause := r.cause;
    d.presented := presented;
    d.asserted := asserted;
    IF r.diverting > 0 THEN
        d.asserted := (SELECT main_number FROM provisioner.sip_accounts WHERE id = r.diverting);
    END IF;
    RETURN d;
END
$$;

-- Decides a new call, and counts it. `caller_account` has proved itself (0: the call came from a
-- trunk, and `caller` is the number that the trunk named). `called` is in E.164 format, or an
-- emergency number as it was dialled; `dialled` is what was dialled, which may be the digits of one
-- of the service's numbers. A leg that is lost in a crash of the database is one of a few moments
-- before it; calls need not wait for the disk.
CREATE FUNCTION kamailio.place_call(
    caller_account bigint, caller text, called text, dialled text, is_emergency boolean,
    node text, entry bigint, dialog bigint, call_id text, cseq bigint
) RETURNS kamailio.decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
DECLARE
    r kamailio.route;
    own record;
    refusal text := '';
    destination text := called;
    shown text;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF EXISTS (SELECT FROM kamailio.did WHERE number = '+' || dialled) AND NOT is_emergency THEN
        destination := '+' || dialled;
    END IF;
    IF caller_account = 0 THEN
        r := kamailio.find_target(destination, caller, true, 0, '', '', '{}');
        RETURN kamailio.decide(0, 0, NULL, NULL, r, true, node, entry, dialog, call_id, cseq);
    END IF;
    SELECT * INTO own FROM provisioner.sip_accounts WHERE id = caller_account;
    IF NOT FOUND THEN
        -- It proved itself a moment ago, and has been deleted since.
        RETURN kamailio.decide(0, 0, NULL, NULL, kamailio.route_refused(403, 'Account Disabled'), true,
                               node, entry, dialog, call_id, cseq);
    END IF;
    IF is_emergency THEN
        -- The rescuers see the main number, whatever else is presented elsewhere.
        r := kamailio.route_refused(0, '');
        r.target := 'carrier';
        r.number := destination;
        r.set_id := 1;
        r.legs := ARRAY[ROW(own.id, 'out', true, own.main_number, destination)::kamailio.leg];
        RETURN kamailio.decide(0, own.id, own.main_number, own.main_number, r, false, node, entry,
                               dialog, call_id, cseq);
    END IF;
    shown := kamailio.presented_number(own.id, destination);
    r := kamailio.find_target(destination, coalesce(nullif(shown, ''), 'anonymous'), false, 0, '', '',
                              '{}');
    IF r.status = 0 AND r.target = 'carrier' AND r.diverting = 0 THEN
        refusal := kamailio.outgoing_refusal(own.id, destination);
        IF refusal <> '' THEN
            r := kamailio.route_refused(403, refusal);
        END IF;
    END IF;
    r.legs := ROW(own.id, 'out', true, coalesce(nullif(shown, ''), own.main_number), destination
                  )::kamailio.leg || r.legs;
    RETURN kamailio.decide(0, own.id, shown, own.main_number, r, true, node, entry, dialog, call_id,
                           cseq);
END
$$;

-- Decides where a call goes that the account called last does not take: `why` is no_answer or
-- unreachable. The answer has status 480 where the account does not transfer such calls.
CREATE FUNCTION kamailio.transfer_call(the_call bigint, why text) RETURNS kamailio.decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
DECLARE
    r kamailio.route;
    first kamailio.calls;
    last kamailio.calls;
    goes_to text;
    visited bigint[];
    past text;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO first FROM kamailio.calls WHERE call = the_call ORDER BY id LIMIT 1;
    SELECT * INTO last FROM kamailio.calls
     WHERE call = the_call AND direction = 'in' ORDER BY id DESC LIMIT 1;
    SELECT target INTO goes_to FROM kamailio.call_transfer AS transfer
     WHERE transfer.account_id = last.account_id AND transfer.condition = why;
    IF NOT FOUND THEN
        RETURN kamailio.decide(the_call, 0, NULL, NULL,
                               kamailio.route_refused(480, 'Temporarily Unavailable'), true,
                               '', 0, 0, '', 0);
    END IF;
    visited := ARRAY(SELECT account_id FROM kamailio.calls
                      WHERE call = the_call AND direction = 'in' ORDER BY id);
    past := (SELECT string_agg(caller, ',' ORDER BY id) FROM kamailio.calls
              WHERE call = the_call AND NOT counted);
    r := kamailio.find_target(goes_to, last.caller, false, last.account_id, why,
                              concat_ws(',', past, last.called), visited);
    r.legs := ROW(last.account_id, 'out', false, last.called, goes_to)::kamailio.leg || r.legs;
    -- A trunk's caller stays as he came; an account's as it was presented, or was not.
    RETURN kamailio.decide(
        the_call, 0,
        CASE WHEN first.direction = 'out'
             THEN CASE last.caller WHEN 'anonymous' THEN '' ELSE last.caller END
        END,
        NULL, r, true,
        first.node, first.dialog_entry, first.dialog_id, first.sip_call_id, first.sip_cseq);
END
$$;

-- A call was answered, `seconds_ago` where that could not be told at once.
CREATE FUNCTION kamailio.answer_call(the_call bigint, seconds_ago integer DEFAULT 0) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE kamailio.calls
       SET answered_at = greatest(started_at,
                                  least(answered_at, now() - make_interval(secs => seconds_ago)))
     WHERE call = the_call AND (answered_at IS NULL OR seconds_ago > 0);
    RETURN 1;
END
$$;

-- Turns the legs of a call into call records. What costs nothing need not be costed: incoming legs,
-- those that nobody answered, emergency calls.
CREATE FUNCTION kamailio.record_call(
    the_call bigint, ended timestamptz, final_status integer, lost boolean
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    WITH gone AS (DELETE FROM kamailio.calls WHERE call = the_call RETURNING *),
         timed AS (
        SELECT gone.*, greatest(ended, answered_at, started_at) AS ended_at,
               direction = 'in' OR answered_at IS NULL OR emergency AS free
          FROM gone)
    INSERT INTO provisioner.call_records
           (id, call, account_id, account_number, customer_id, customer_name, project_id,
            project_name, tariff, direction, transferred, emergency, caller, called, node,
            started_at, answered_at, ended_at, duration, status, node_lost, cost_operator,
            cost_customer, rated_at)
    SELECT timed.id, call, account_id, account_number, timed.customer_id,
           coalesce(customer.name, ''), project_id, coalesce(project.name, ''), tariff, direction,
           NOT counted, emergency, caller, called, split_part(node, '/', 1), started_at, answered_at,
           ended_at,
           coalesce(extract(epoch FROM date_trunc('second', ended_at)
                                       - date_trunc('second', answered_at)), 0)::integer,
           CASE WHEN answered_at IS NULL THEN final_status ELSE 200 END, lost,
           CASE WHEN free THEN 0 END, CASE WHEN free THEN 0 END, CASE WHEN free THEN now() END
      FROM timed
      LEFT JOIN provisioner.customers AS customer ON customer.id = timed.customer_id
      LEFT JOIN provisioner.projects AS project ON project.id = project_id;
END
$$;

-- A call has ended; `final_status` is what it was answered where it was not taken. One that had been
-- given up because its node was not heard of gets its true end, and what can cost something is costed
-- anew: the cost that it had stays until then, because the day's sum changes by the difference.
CREATE FUNCTION kamailio.end_call(the_call bigint, final_status integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM kamailio.calls WHERE call = the_call) THEN
        PERFORM kamailio.record_call(the_call, clock_timestamp(), final_status, false);
        RETURN 1;
    END IF;
    UPDATE provisioner.call_records
       SET ended_at = now(), node_lost = false, missed_rates = 0,
           duration = coalesce(extract(epoch FROM date_trunc('second', now())
                                                  - date_trunc('second', answered_at)), 0),
           rated_at = CASE WHEN direction = 'in' OR answered_at IS NULL OR emergency THEN rated_at END
     WHERE call = the_call AND node_lost;
    RETURN 1;
END
$$;

-- A call that is over, though nobody said when: it was there at `last_known`.
CREATE FUNCTION kamailio.forget_call(the_call bigint, last_known timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$ SELECT kamailio.record_call(the_call, last_known, 500, true) $$;

-- The process that called itself so is gone, and so are its calls, since it was heard of last.
CREATE FUNCTION kamailio.forget_node(gone text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
DECLARE
    lost record;
BEGIN
    FOR lost IN
        SELECT calls.call, coalesce(max(lease.seen_at), min(calls.started_at)) AS seen_at
          FROM kamailio.calls
          LEFT JOIN kamailio.node_leases AS lease USING (node)
         WHERE calls.node = gone
         GROUP BY calls.call
         ORDER BY calls.call
    LOOP
        PERFORM kamailio.record_call(lost.call, lost.seen_at, 500, true);
    END LOOP;
    DELETE FROM kamailio.node_leases WHERE node = gone;
END
$$;

-- Records the calls of nodes that have not been heard of for so long that they are given up, and
-- forgets those nodes. One session at a time; another one finds nothing to do.
CREATE FUNCTION kamailio.record_lost_calls() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kamailio, pg_temp
AS $$
DECLARE
    watched_since timestamptz;
    lost text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('provisioner lost calls')) THEN
        RETURN;
    END IF;
    INSERT INTO kamailio.watch AS watch (since, last_at) VALUES (clock_timestamp(), clock_timestamp())
    ON CONFLICT (single) DO UPDATE
       SET since = CASE WHEN watch.last_at > excluded.last_at - interval '15 s'
                        THEN watch.since ELSE excluded.since END,
           last_at = excluded.last_at
    RETURNING since INTO watched_since;
    IF watched_since > now() - interval '45 s' THEN
        RETURN;
    END IF;
    FOR lost IN
        SELECT DISTINCT calls.node
          FROM kamailio.calls
          LEFT JOIN kamailio.node_leases AS lease USING (node)
         WHERE lease.node IS NULL OR lease.expires < now() - interval '30 s'
         ORDER BY 1
    LOOP
        PERFORM kamailio.forget_node(lost);
    END LOOP;
    DELETE FROM kamailio.node_leases AS lease
     WHERE lease.expires < now() - interval '1 day'
       AND NOT EXISTS (SELECT FROM kamailio.calls WHERE calls.node = lease.node);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kamailio FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    kamailio.place_call, kamailio.transfer_call, kamailio.answer_call, kamailio.end_call,
    kamailio.renew_lease TO kamailio;
GRANT EXECUTE ON FUNCTION
    kamailio.record_lost_calls, kamailio.forget_call, kamailio.forget_node, kamailio.channels_used,
    kamailio.destination_allowed, kamailio.spend_left TO provisioner;
GRANT SELECT ON kamailio.dispatcher TO kamailio;
GRANT SELECT ON
    kamailio.calls, kamailio.node_leases, kamailio.dispatcher, provisioner.live_calls TO provisioner;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    provisioner.trunks, provisioner.project_spend, provisioner.call_refusals TO provisioner;
GRANT SELECT, UPDATE ON provisioner.call_records TO provisioner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA provisioner TO provisioner;
