-- A node that starts reads the homes of all bindings, its own and the others', within the time that a
-- query may take. Most of it went into a regular expression for each of them. An address ends with a
-- digit, as no name does that could stand there; IPv6 has the function, as before.
CREATE OR REPLACE VIEW kamailio.homes AS
SELECT DISTINCT source AS key_name, 0 AS key_type, 1 AS value_type, '1'::text AS key_value,
       0 AS expires
  FROM (SELECT CASE WHEN received LIKE 'sip:[%' THEN kamailio.source_of(received)
                    ELSE split_part(received, ':', 2)
               END AS source
          FROM kamailio.location
        OFFSET 0) AS bound
 WHERE right(source, 1) BETWEEN '0' AND '9';
