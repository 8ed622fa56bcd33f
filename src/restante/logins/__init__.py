"""Who is it? Passwords and how they are kept, guessing and what slows it, and the check of one login."""
