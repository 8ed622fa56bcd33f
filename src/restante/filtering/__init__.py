"""What looks at mail before it is taken in: a filter's verdict on one message."""
