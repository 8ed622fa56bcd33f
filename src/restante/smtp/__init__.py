"""SMTP and LMTP as bytes and values; imports nothing else of restante."""
