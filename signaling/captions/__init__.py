"""Live captions of clear sessions: what is said, for those who read along."""
