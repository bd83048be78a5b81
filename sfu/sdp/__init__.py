"""Session descriptions (RFC 8866, RFC 8829): parse, negotiate, build. Pure, bounded, linear."""
