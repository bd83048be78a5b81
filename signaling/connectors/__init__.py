"""Audio Connectors of clear sessions: clients whose ears and mouth are an application's."""
