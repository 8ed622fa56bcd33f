"""Mail coming in: one session per connection, and all its answers."""
