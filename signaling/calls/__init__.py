"""SIP calls of clear sessions: telephones as clients."""
