"""Layer switches of the real core, decoded by real decoders: `python -m bench.switches`.

Encoders' output is encrypted with the client SDK's own code, sent through the forwarding core in
virtual time, and what each subscriber got is put together, decrypted and decoded.
"""
