"""Puts three messages into each of the two hosts, by plain SMTP, as their users and the world would."""

import smtplib
from email.message import EmailMessage

SITE, OFFICE = "127.0.49.25", "127.0.49.26"
MAIL = [
    (SITE, "anna@test.example", "carla@localtest.example", "Fuel for next week"),
    (SITE, "bert@test.example", "dora@localtest.example", "Logbook, page 12"),
    (SITE, "bert@test.example", "carla@localtest.example", "Photographs later"),
    (OFFICE, "carla@localtest.example", "anna@test.example", "Re: Fuel for next week"),
    (OFFICE, "dora@localtest.example", "info@test.example", "Weather for the week"),
    (OFFICE, "world@elsewhere.example", "bert@test.example", "Greetings from outside"),
]

for host, sender, recipient, subject in MAIL:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message.set_content(f"{subject}.\n\nWritten at {host}, and kept there until it is asked for.\n")
    with smtplib.SMTP(host, 2525, timeout=10) as client:
        client.send_message(message)
