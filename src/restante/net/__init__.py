"""Mail's connections, in and out; no other room of mail opens one."""
