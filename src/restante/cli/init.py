"""`restante init`: a few questions, and an office, a site or both is set up; it says what is left to do elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from restante.admin.protocol import USAGE
from restante.cli import passwords, screen
from restante.cli.doors import CommandFailed
from restante.setup.plan import Outgoing, Proof, Protocol, Role, Software

Text = str | None
Texts = list[str] | None


def init(  # noqa: PLR0917 - options
    domains: Annotated[
        Texts, typer.Option("--domain", metavar="DOMAIN", help="Whose mail is held (office) or read here (site).")
    ] = None,
    own_domains: Annotated[
        Texts, typer.Option("--own-domain", metavar="DOMAIN", help="With --both: whose mail is read here.")
    ] = None,
    hostname: Annotated[Text, typer.Option(metavar="NAME", help="The name of this host.")] = None,
    listen: Annotated[Texts, typer.Option(metavar="ADDRESS[:PORT]", help="Where mail comes in by SMTP.")] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="How mail is fetched: atrn works behind a NAT, etrn wants port 25.")
    ] = None,
    proof: Annotated[Proof | None, typer.Option(help="How the site shows its office who it is.")] = None,
    user: Annotated[Text, typer.Option(metavar="NAME", help="The login that the site has at the office.")] = None,
    own_user: Annotated[Text, typer.Option(metavar="NAME", help="With --both: the login that we have.")] = None,
    certificate: Annotated[
        Text, typer.Option(metavar="SHA256|NAME", help="Office: the certificate that the site shows.")
    ] = None,
    site_address: Annotated[
        Text, typer.Option(metavar="HOST[:PORT]", help="Office: where the site is (etrn), or `caller`.")
    ] = None,
    smarthost: Annotated[
        Text, typer.Option(metavar="HOST[:PORT]", help="Office: where all else goes, instead of by MX.")
    ] = None,
    office_host: Annotated[Text, typer.Option(metavar="HOST[:PORT]", help="Site: its office.")] = None,
    pin: Annotated[Text, typer.Option(metavar="sha256:HEX", help="Site: the key that the office must show.")] = None,
    mailboxes: Annotated[Texts, typer.Option("--mailbox", metavar="USER", help="Site: who has a mailbox.")] = None,
    schedule: Annotated[Text, typer.Option(metavar="CRON", help="Site: when to call.")] = None,
    link_up: Annotated[
        bool | None, typer.Option("--link-up/--no-link-up", help="Site: call when a link comes up, too.")
    ] = None,
    outgoing: Annotated[Outgoing | None, typer.Option(help="Site: when what is written there leaves.")] = None,
    networks: Annotated[
        Texts, typer.Option("--network", metavar="NETWORK", help="Site: from where mail is taken for elsewhere.")
    ] = None,
    data: Annotated[Text, typer.Option(metavar="DIR", help="Where mail is kept.")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, help="This host's certificate, and its chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", exists=True, help="Its private key.")] = None,
    public: Annotated[
        Texts, typer.Option("--public", metavar="ADDRESS", help="Addresses of this host as others see it.")
    ] = None,
    other: Annotated[Software | None, typer.Option(help="What runs at the other end.")] = None,
    page: Annotated[
        Text, typer.Option(metavar="ADDRESS[:PORT]", help="Where the page for browsers is; else 127.0.0.1:8025.")
    ] = None,
    administrator: Annotated[Text, typer.Option(metavar="NAME", help="Who sees and does all at the page.")] = None,
    owner: Annotated[
        Text, typer.Option(metavar="USER", help="Whose the files are, if root makes them; else restante's.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(),
    *,
    office: Annotated[bool, typer.Option("--office", help="An office: it holds mail for a site.")] = False,
    site: Annotated[bool, typer.Option("--site", help="A site: it has its mail from an office.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Both, for different domains.")] = False,
    no_page: Annotated[bool, typer.Option("--no-page", help="No page for browsers, and no administrator.")] = False,
    hooks: Annotated[
        bool, typer.Option("--hooks", help="Site: write scripts for ppp, NetworkManager and networkd too.")
    ] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the login's password from stdin; with --both then our own.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: defaults for what no option says.")] = False,
) -> None:
    """Set up an office, a site, or both. On a terminal it asks; elsewhere options answer."""
    from restante.cli.init_answers import Options, ask  # noqa: PLC0415 - `--help` needs none of it
    from restante.cli.init_files import CONFIG, Files, owner_of  # noqa: PLC0415
    from restante.cli.init_making import make  # noqa: PLC0415
    from restante.cli.interview import Interview  # noqa: PLC0415

    interview = Interview(asks=sys.stdin.isatty() and not yes and not password_stdin)
    files = Files(out.absolute(), owner_of(owner))
    files.refuse_existing([CONFIG], force=force)
    options = Options(
        role=_role(office=office, site=site, both=both),
        hostname=hostname,
        data=data,
        listen=listen,
        domains=domains,
        own_domains=own_domains,
        protocol=protocol,
        proof=proof,
        user=user,
        own_user=own_user,
        certificate=certificate,
        site_address=site_address,
        smarthost=smarthost,
        mailboxes=mailboxes,
        office_host=office_host,
        pin=pin,
        schedule=schedule,
        link_up=link_up,
        outgoing=outgoing,
        networks=networks,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        other=other,
        page=page,
        administrator=administrator,
        no_page=no_page,
    )
    answers = ask(options, interview, files.folder)
    ask_password = _from_stdin if password_stdin else _terminal if interview.asks else _nobody
    for line in make(answers, files, ask_password, public or (), force=force, with_hooks=hooks).splitlines():
        screen.say(line)


def _role(*, office: bool, site: bool, both: bool) -> Role | None:
    if both or (office and site):
        return Role.BOTH
    return Role.OFFICE if office else Role.SITE if site else None


def _terminal(whose: str, *, may_be_new: bool) -> str | None:
    """A password, asked for twice; None: one is to be made up."""
    hint = " (none: one is made up)" if may_be_new else ""
    default = "" if may_be_new else None
    first: str = typer.prompt(f"{whose}{hint}", default=default, show_default=False, hide_input=True, err=True)
    while first and typer.prompt("Once more", hide_input=True, err=True) != first:
        screen.complain("that was another one")
        first = typer.prompt(f"{whose}{hint}", default=default, show_default=False, hide_input=True, err=True)
    return first or None


def _from_stdin(whose: str, *, may_be_new: bool) -> str | None:
    del whose, may_be_new
    return passwords.first_line()


def _nobody(whose: str, *, may_be_new: bool) -> str | None:
    if may_be_new:
        return None
    raise CommandFailed((f"--password-stdin is needed: {whose}",), USAGE)
