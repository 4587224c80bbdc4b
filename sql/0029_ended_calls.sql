-- Of a call that the worker has a node end, the worker writes down that it is over: the node does not
-- always hear of it.
GRANT EXECUTE ON FUNCTION kamailio.end_call(bigint, integer) TO provisioner;
