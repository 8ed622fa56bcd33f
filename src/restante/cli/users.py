"""`restante user`: the users that are kept in the store (keeping.py)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from restante.admin import protocol as p
from restante.cli import doors, keeping, passwords, screen, tokens
from restante.cli.doors import CommandFailed
from restante.cli.options import Config, Json, chosen
from restante.cli.verb import Verbs

app = Verbs(help="Keep logins in the store, beside those of the configuration.", no_args_is_help=True)

UserName = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
OwnDomains = Annotated[
    list[str] | None, typer.Option("--domain", metavar="DOMAIN", help="It may send from this domain, and release it.")
]
Certificates = Annotated[
    list[str] | None,
    typer.Option("--certificate", metavar="SHA256|NAME", help="A client certificate that logs in as this user."),
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]
Admin = Annotated[
    bool | None, typer.Option("--admin/--no-admin", help="It is an administrator of the API, and sees and does all.")
]
Secret = Annotated[bool, typer.Option("--secret", help="Make a secret for CRAM-MD5, and print it.")]


@app.command("add")
def add_user(
    context: typer.Context,
    name: UserName,
    own: OwnDomains = None,
    certificates: Certificates = None,
    config: Config = None,
    *,
    password_stdin: PasswordStdin = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="It does not log in with a password.")] = False,
    secret: Secret = False,
    admin: Admin = None,
    json: Json = False,
) -> None:
    """Add a user. The password is asked for."""
    configured = doors.load(chosen(context, config))
    keeping.refuse_taken(configured, "users", name, is_new=True)
    table: dict[str, Any] = {} if no_password else passwords.keys_of_password(from_stdin=password_stdin)
    table |= keeping.given(domains=own, certificates=certificates, admin=admin) | _new_secret(wanted=secret)
    keeping.put(configured, "users", {name: table})
    keeping.say_done(f"user {name} added", [name], table.get("secret"), json=json)


@app.command("set")
def set_user(  # noqa: PLR0917 - options
    context: typer.Context,
    name: UserName,
    own: OwnDomains = None,
    certificates: Certificates = None,
    unset: keeping.Unset = None,
    config: Config = None,
    *,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    password_stdin: PasswordStdin = False,
    secret: Secret = False,
    admin: Admin = None,
    json: Json = False,
) -> None:
    """Change a user. What is not named stays; lists are replaced."""
    configured = doors.load(chosen(context, config))
    changes = keeping.given(domains=own, certificates=certificates, admin=admin) | _new_secret(wanted=secret)
    if password or password_stdin:
        changes |= passwords.keys_of_password(from_stdin=password_stdin)
    keeping.change(configured, "users", name, changes, unset or ())
    keeping.say_done(f"user {name} changed", [name], changes.get("secret"), json=json)


@app.command("remove")
def remove_user(context: typer.Context, name: UserName, config: Config = None, *, json: Json = False) -> None:
    """Remove a user. Domains must not name it in release_from any more."""
    from restante.config.keeping import released_by  # noqa: PLC0415

    configured = doors.load(chosen(context, config))
    if named := released_by(configured.directory(), name):
        raise CommandFailed((f"user {name} may release {', '.join(named[:10])}: change release_from there first",))
    keeping.remove(configured, "users", name)
    keeping.say_done(f"user {name} removed", [name], json=json)


@app.command("token")
def token_of_user(
    context: typer.Context,
    name: UserName,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="It is good for so long, such as 90d; else until revoked.")
    ] = None,
    config: Config = None,
    *,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Make no token; none of this user's is good any more.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a token for a program that uses the API as this user. It is printed this once; its hash is kept."""
    configured = doors.load(chosen(context, config))
    if revoke:
        if expires is not None:
            raise CommandFailed(("--revoke takes no --expires",), p.USAGE)
        tokens.revoke(configured, name)
        keeping.say_done(f"no token of user {name} is good any more", [name], json=json)
        return
    text, until = tokens.make(configured, name, expires)
    if json:
        screen.write_json({"done": [name], "token": text, "expires": until})
    else:
        screen.say(text)


@app.command("list")
def list_users(context: typer.Context, config: Config = None, *, json: Json = False) -> None:
    """List all users, those of the configuration too. Nothing secret is shown."""
    configured = doors.load(chosen(context, config))
    found = sorted(keeping.directory_of_all(configured).users.values(), key=lambda user: user.name)
    rows = [
        {
            "name": user.name,
            "domains": sorted(user.domains),
            "logs_in_with": list(user.proofs),
            "certificates": sorted(user.certificates),
            "admin": user.admin,
            "tokens": len(user.tokens),
            "where": keeping.where(configured.settings.users, user.name),
        }
        for user in found
    ]
    if json:
        screen.write_json(rows)
        return
    cells = [
        (user.name, " ".join(sorted(user.domains)), ", ".join(user.proofs), str(row["where"]))
        for user, row in zip(found, rows, strict=True)
    ]
    screen.show_table(("USER", "DOMAINS", "LOGS IN WITH", "WHERE"), cells)


@app.command("import")
def import_users(context: typer.Context, file: keeping.File, config: Config = None, *, json: Json = False) -> None:
    """Add or replace many users: all of them, or none where one is not in order. Passwords are hashes."""
    keeping.import_all(doors.load(chosen(context, config)), "users", file, json=json)


def _new_secret(*, wanted: bool) -> dict[str, str]:
    from restante.logins.passwords import new_secret  # noqa: PLC0415 - brings argon2

    return {"secret": new_secret()} if wanted else {}
