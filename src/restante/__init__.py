"""restante: mail to and from places that are not always online (RFC 1985 ETRN, office and site in one program)."""
