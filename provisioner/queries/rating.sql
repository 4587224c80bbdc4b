-- Rates, and the costs of calls.

-- name: rates_lock
-- One change of rates at a time.
SELECT pg_advisory_xact_lock(hashtext('provisioner rates'));

-- name: clock
-- After a lock, unlike now().
SELECT clock_timestamp() AS now;

-- name: moments
-- What the operator's clocks showed, as moments.
SELECT local, local::timestamp AT TIME ZONE time_zone AS moment
  FROM unnest(%(locals)s::text[]) AS local, provisioner.installation;

-- name: rates_of_prefixes
SELECT * FROM provisioner.rates WHERE prefix = ANY (%(prefixes)s);

-- name: rates_by_id
SELECT * FROM provisioner.rates WHERE id = ANY (%(ids)s);

-- name: rate_lock
SELECT * FROM provisioner.rates WHERE id = %(rate_id)s FOR UPDATE;

-- name: rate_end
UPDATE provisioner.rates AS rate
   SET valid_until = wanted.valid_until
  FROM unnest(%(ids)s::bigint[], %(untils)s::timestamptz[]) AS wanted (id, valid_until)
 WHERE rate.id = wanted.id;

-- name: rates_copy
COPY provisioner.rates
     (side, prefix, description, connection_fee, price_per_minute, first_interval, next_interval,
      flat, valid_from, valid_until, stated_until)
FROM STDIN;

-- name: rate_delete
DELETE FROM provisioner.rates WHERE id = %(rate_id)s;

-- name: version_next
UPDATE provisioner.rating SET version = version + 1 RETURNING version;

-- name: version
SELECT version FROM provisioner.rating;

-- name: costing_lock
SELECT pg_try_advisory_xact_lock(hashtext('provisioner costing')) AS locked;

-- name: uncosted
-- The next records to be costed, with their rates' ids.
SELECT record.id, project_id, tariff, duration, cost_customer,
       (started_at AT TIME ZONE time_zone)::date AS day,
       provisioner.rate_in_force('operator', called, started_at) AS operator_rate,
       provisioner.rate_in_force('customer', called, started_at) AS customer_rate
  FROM provisioner.call_records AS record, provisioner.installation
 WHERE rated_at IS NULL AND missed_rates < %(version)s
 ORDER BY missed_rates, record.id
 LIMIT %(limit)s
   FOR UPDATE OF record SKIP LOCKED;

-- name: costs_save
-- What has both costs is costed; for the rest a rate is missing, among those of the version.
UPDATE provisioner.call_records AS record
   SET cost_operator = costed.operator, cost_customer = costed.customer,
       rated_at = CASE WHEN costed.operator IS NOT NULL AND costed.customer IS NOT NULL THEN now() END,
       missed_rates = %(version)s
  FROM unnest(%(ids)s::bigint[], %(operator)s::numeric[], %(customer)s::numeric[])
       AS costed (id, operator, customer)
 WHERE record.id = costed.id;

-- name: spend_add
INSERT INTO provisioner.project_spend AS spend (project_id, day, amount)
SELECT * FROM unnest(%(projects)s::bigint[], %(days)s::date[], %(amounts)s::numeric[])
ON CONFLICT (project_id, day) DO UPDATE SET amount = spend.amount + excluded.amount;

-- name: running
-- Answered calls in progress that cost something, of the projects that have a cap.
SELECT call.project_id, call.tariff,
       floor(extract(epoch FROM clock_timestamp() - answered_at))::integer AS duration,
       (started_at AT TIME ZONE time_zone)::date AS day,
       provisioner.rate_in_force('customer', called, started_at) AS customer_rate
  FROM kamailio.calls AS call
  JOIN provisioner.projects AS project
    ON project.id = call.project_id AND daily_spend_cap IS NOT NULL,
       provisioner.installation
 WHERE direction = 'out' AND answered_at IS NOT NULL AND NOT emergency;

-- name: running_reset
UPDATE provisioner.project_spend SET running = 0
 WHERE running <> 0
   AND (project_id, day) NOT IN
       (SELECT * FROM unnest(%(projects)s::bigint[], %(days)s::date[]));

-- name: running_save
INSERT INTO provisioner.project_spend (project_id, day, running)
SELECT * FROM unnest(%(projects)s::bigint[], %(days)s::date[], %(amounts)s::numeric[])
ON CONFLICT (project_id, day) DO UPDATE SET running = excluded.running;

-- name: month
-- Where a month of the operator's calendar begins and ends.
SELECT first::timestamp AT TIME ZONE time_zone AS since,
       (first + interval '1 month') AT TIME ZONE time_zone AS until
  FROM provisioner.installation, CAST(%(first)s AS date) AS first;

-- fragment: calendar
-- The days, and which of them are summed up: their calls, and each account's.
calendar AS (
    SELECT one.day, one.day::timestamp AT TIME ZONE time_zone AS since,
           (one.day + 1)::timestamp AT TIME ZONE time_zone AS until,
           summed.day IS NOT NULL AS summed, coalesce(summed.accounts, false) AS accounts_summed
      FROM provisioner.installation,
           -- Numbers, because who plans knows how many they are; of times he does not.
           generate_series(0, %(last)s::date - %(first)s::date) AS n,
           LATERAL (SELECT %(first)s::date + n AS day) AS one
      LEFT JOIN provisioner.summed_days AS summed
        ON summed.day = one.day
           AND summed.day NOT IN (SELECT changed.day FROM provisioner.changed_days AS changed)
)

-- fragment: within
-- The calendar says so, too, but not to who plans: without it the sums of all years might be read.
day BETWEEN %(first)s AND %(last)s

-- fragment: chosen
(%(customer)s::bigint IS NULL OR customer_id = %(customer)s)
AND (%(project)s::bigint IS NULL OR project_id = %(project)s)
AND (%(account)s::bigint IS NULL OR account_id = %(account)s)

-- name: summary
-- The calls of each account that began within some days; of a name that was changed meanwhile, one. Of days
-- that are summed up the sums are read, of all others the calls.
WITH {calendar}, parts AS (
    SELECT customer_id, project_id, account_id, customer_name, project_name, account_number, calls,
           seconds, unrated, cost_operator, cost_customer
      FROM calendar
      JOIN provisioner.account_days USING (day)
     WHERE accounts_summed AND {scope} AND {within} AND {chosen}
     UNION ALL
    SELECT of_day.*
      FROM calendar,
           LATERAL (
               SELECT customer_id, project_id, account_id, max(customer_name), max(project_name),
                      max(account_number), count(*), sum(duration),
                      count(*) FILTER (WHERE rated_at IS NULL),
                      coalesce(sum(cost_operator), 0), coalesce(sum(cost_customer), 0)
                 FROM provisioner.call_records
                WHERE started_at >= since AND started_at < until AND {scope} AND {chosen}
                GROUP BY customer_id, project_id, account_id
           ) AS of_day
     WHERE NOT accounts_summed
)
SELECT customer_id, max(customer_name) AS customer_name, project_id,
       max(project_name) AS project_name, account_id, max(account_number) AS account_number,
       sum(calls)::bigint AS calls, sum(seconds)::bigint AS seconds, sum(unrated)::bigint AS unrated,
       sum(cost_operator) AS cost_operator, sum(cost_customer) AS cost_customer
  FROM parts
 GROUP BY customer_id, project_id, account_id
 ORDER BY customer_id, project_id, account_id;

-- name: today
SELECT (now() AT TIME ZONE time_zone)::date AS today FROM provisioner.installation;

-- name: bounds
-- Where the first of some days of the operator's calendar begins, and the last one ends.
SELECT CAST(%(first)s AS date)::timestamp AT TIME ZONE time_zone AS since,
       (CAST(%(last)s AS date) + 1)::timestamp AT TIME ZONE time_zone AS until
  FROM provisioner.installation;

-- name: days
-- The calls of each day (or month) of the operator's calendar. Of days that are summed up the sums are
-- read, of all others the calls.
WITH {calendar}, parts AS (
    SELECT day, direction, calls, seconds, cost_operator, cost_customer
      FROM calendar
      JOIN provisioner.call_days USING (day)
     WHERE %(account)s::bigint IS NULL AND summed AND {scope} AND {within}
       AND project_id = coalesce(%(project)s::bigint, %(scope_project)s::bigint, 0)
       AND (customer_id = 0) = (coalesce(%(project)s::bigint, %(scope_project)s::bigint,
                                         %(scope_customer)s::bigint) IS NULL)
     UNION ALL
    SELECT day, direction, calls, seconds, cost_operator, cost_customer
      FROM calendar
      JOIN provisioner.account_days USING (day)
     WHERE account_id = %(account)s::bigint AND accounts_summed AND {scope} AND {within}
       AND (%(project)s::bigint IS NULL OR project_id = %(project)s)
     UNION ALL
    SELECT day, of_day.*
      FROM calendar,
           LATERAL (
               SELECT direction, count(*) AS calls, sum(duration) AS seconds,
                      coalesce(sum(cost_operator), 0) AS cost_operator,
                      coalesce(sum(cost_customer), 0) AS cost_customer
                 FROM provisioner.call_records
                WHERE started_at >= since AND started_at < until AND {scope}
                  AND (%(project)s::bigint IS NULL OR project_id = %(project)s)
                  AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
                GROUP BY direction
           ) AS of_day
     WHERE NOT CASE WHEN %(account)s::bigint IS NULL THEN summed ELSE accounts_summed END
)
SELECT date_trunc(%(unit)s, day::timestamp)::date AS day,
       coalesce(sum(calls) FILTER (WHERE direction = 'in'), 0)::bigint AS incoming,
       coalesce(sum(calls) FILTER (WHERE direction = 'out'), 0)::bigint AS outgoing,
       sum(seconds)::bigint AS seconds,
       sum(cost_operator) AS cost_operator, sum(cost_customer) AS cost_customer
  FROM parts
 WHERE %(direction)s::text IS NULL OR direction = %(direction)s
 GROUP BY 1
 ORDER BY 1;

-- name: days_lock
SELECT pg_try_advisory_xact_lock(hashtext('provisioner days')) AS locked;

-- name: days_forget
-- The sums of days that have changed.
WITH changed AS (DELETE FROM provisioner.changed_days RETURNING day),
     gone AS (DELETE FROM provisioner.call_days WHERE day IN (SELECT day FROM changed)),
     gone_accounts AS (DELETE FROM provisioner.account_days WHERE day IN (SELECT day FROM changed))
DELETE FROM provisioner.summed_days WHERE day IN (SELECT day FROM changed);

-- name: days_unlimited
-- A day may have more calls than a page waits for.
SET LOCAL statement_timeout = '10min';

-- name: day_due
-- The latest day that ended two hours ago or earlier and is not summed up, or not by account.
SELECT day::date AS day
  FROM provisioner.installation,
       (SELECT min(started_at) AS earliest FROM provisioner.call_records) AS calls,
       generate_series(
           date_trunc('day', earliest AT TIME ZONE time_zone),
           date_trunc('day', (now() - interval '2 hours') AT TIME ZONE time_zone)
               - interval '1 day',
           '1 day') AS day
 WHERE day::date NOT IN (SELECT summed.day FROM provisioner.summed_days AS summed WHERE accounts)
 ORDER BY 1 DESC
 LIMIT 1;

-- name: day_clear
-- What the version before 0030 summed up of the day, and what it left of sums that it dropped.
WITH gone AS (DELETE FROM provisioner.call_days WHERE day = %(day)s),
     gone_accounts AS (DELETE FROM provisioner.account_days WHERE day = %(day)s)
DELETE FROM provisioner.summed_days WHERE day = %(day)s;

-- name: day_sum
-- For each account; of these for each project, for each customer, and for all calls of the day.
WITH summed AS (
    INSERT INTO provisioner.summed_days (day, accounts) VALUES (%(day)s, true) RETURNING day
), bounds AS (
    SELECT day, day::timestamp AT TIME ZONE time_zone AS since,
           (day + 1)::timestamp AT TIME ZONE time_zone AS until
      FROM summed, provisioner.installation
), of_accounts AS (
    INSERT INTO provisioner.account_days
           (day, account_id, project_id, customer_id, direction, account_number, project_name,
            customer_name, calls, seconds, unrated, cost_operator, cost_customer)
    SELECT day, of_day.*
      FROM bounds,
           LATERAL (
               SELECT account_id, project_id, customer_id, direction, max(account_number),
                      max(project_name), max(customer_name), count(*), sum(duration),
                      count(*) FILTER (WHERE rated_at IS NULL),
                      coalesce(sum(cost_operator), 0), coalesce(sum(cost_customer), 0)
                 FROM provisioner.call_records
                WHERE started_at >= bounds.since AND started_at < bounds.until
                GROUP BY account_id, project_id, customer_id, direction
           ) AS of_day
    RETURNING *
)
INSERT INTO provisioner.call_days
       (day, project_id, customer_id, direction, calls, seconds, cost_operator, cost_customer)
SELECT day, coalesce(project_id, 0), coalesce(customer_id, 0), direction, sum(calls), sum(seconds),
       sum(cost_operator), sum(cost_customer)
  FROM of_accounts
 GROUP BY day, direction, ROLLUP (customer_id, project_id);
