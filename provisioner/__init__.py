"""Provisions SIP accounts into Kamailio and makes it obey their state at once."""
