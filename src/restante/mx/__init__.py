"""Where mail for a domain goes, and how safely: MX and addresses (RFC 5321 §5.1), DANE, MTA-STS."""
