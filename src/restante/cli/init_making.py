"""From the answers to files: passwords are asked for or made up, the certificate is made where there is none, all is
written, and read again as the server would.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol as Shape

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from restante.admin.protocol import USAGE
from restante.cli import doors, passwords
from restante.cli.doors import CommandFailed
from restante.cli.init_answers import Answers
from restante.cli.init_files import CONFIG, Files, program
from restante.logins.passwords import new_password, new_secret
from restante.model import IPAddress
from restante.net.tls import self_signed
from restante.net.tls_layers import pin_of
from restante.setup.addresses import seen
from restante.setup.configuration import configuration
from restante.setup.hooks import Hook, hooks
from restante.setup.plan import PASSWORD_FILE, Plan, Proof
from restante.setup.records import tlsa_of
from restante.setup.steps import Made, steps
from restante.store.disk import Disk, make_folders

PUBLIC, PRIVATE, PROGRAM = 0o640, 0o600, 0o755
HOOKS = "hooks"


class AskPassword(Shape):
    """Asks for a password."""

    def __call__(self, whose: str, *, may_be_new: bool) -> str | None:
        """None: one is to be made up, which only a new one may be. Raises CommandFailed."""
        ...


def make(
    answers: Answers, files: Files, ask: AskPassword, public: Sequence[str], *, force: bool, with_hooks: bool
) -> str:
    """Writes it all; what is left to do, in words. Raises CommandFailed, CertificateError."""
    addresses = _given(public) if public else tuple(seen(answers.plan.listen))
    scripts = _hooks(answers.plan, files) if with_hooks else ()
    secret_of = answers.plan.office.secret_file if answers.plan.office is not None else None
    names = [f"{HOOKS}/{hook.name}" for hook in scripts] + [
        name for name in (secret_of, _password_file(answers.plan)) if name
    ]
    files.refuse_existing(names, force=force)
    files.make_folder()
    plan, made_up = _with_passwords(answers.plan, files, ask)
    plan, of_administrator = _with_administrator(plan)
    certificate = _certificate(plan, files)
    config = files.write(CONFIG, configuration(plan), PUBLIC)
    for hook in scripts:
        files.write(f"{HOOKS}/{hook.name}", hook.text, PROGRAM)
    doors.load(config)
    is_own = certificate is not None and plan.certificate is None
    made = Made(
        str(config),
        pin=f"sha256:{pin_of(certificate)}" if certificate is not None and is_own else None,
        fingerprint=None if certificate is None else certificate.fingerprint(hashes.SHA256()).hex(),
        tlsa=None if certificate is None else tlsa_of(certificate),
        addresses=addresses,
        password=made_up,
        page_password=of_administrator,
        run_as=files.owner,
        hooks=scripts,
        hooks_folder=str(files.folder / HOOKS),
    )
    return "\n".join(["Written:", "", *(f"    {file}" for file in files.written), "", steps(plan, made, answers.other)])


def _password_file(plan: Plan) -> str | None:
    return PASSWORD_FILE if plan.site is not None and plan.site.proof is Proof.LOGIN else None


def _with_passwords(plan: Plan, files: Files, ask: AskPassword) -> tuple[Plan, str | None]:
    """The plan with what is kept of passwords, whose files are written; and a password that was made up."""
    made_up = None
    if plan.office is not None and plan.office.proof is Proof.LOGIN:
        password = ask(f"The password of {plan.office.user}", may_be_new=True)
        if password is None:
            password = made_up = new_password()
        plan = replace(plan, office=replace(plan.office, password=passwords.keys_of(password)))
    own = None
    if plan.site is not None and plan.site.proof is Proof.LOGIN:
        own = ask(f"The password of {plan.site.user} at {plan.site.office.host}", may_be_new=False)
        if not own:
            raise CommandFailed(("the password is empty",), USAGE)
    if plan.office is not None and plan.office.secret_file is not None:
        files.write(plan.office.secret_file, f"{new_secret()}\n", PRIVATE)
    if own is not None:
        files.write(PASSWORD_FILE, f"{own}\n", PRIVATE)
    return plan, made_up


def _with_administrator(plan: Plan) -> tuple[Plan, str | None]:
    """The plan with what is kept of its administrator's password, and that password; None: there is no page."""
    if plan.page is None:
        return plan, None
    password = new_password()
    return replace(plan, page=replace(plan.page, password=passwords.keys_of(password))), password


def _certificate(plan: Plan, files: Files) -> x509.Certificate | None:
    """The one that this host shows, if it is of use to anybody; a self-signed one is made now, for its pin.

    Raises CommandFailed, CertificateError.
    """
    if plan.certificate is not None:
        return _first_in(Path(plan.certificate))
    is_shown_by_page = plan.page is not None and plan.page.has_tls
    is_shown_to_office = plan.site is not None and plan.site.proof is Proof.CERTIFICATE
    if plan.office is None and not (is_shown_to_office or is_shown_by_page):
        return None
    data = files.folder / plan.data
    try:
        was_there = data.exists()
        make_folders(Disk(), data)
        certificate, key, _ = self_signed(data, plan.hostname)
        files.give(*([] if was_there else [data]), certificate, key)
    except OSError as error:
        raise CommandFailed((f"{data}: {error.strerror}: --data names another folder",)) from None
    return _first_in(certificate)


def _first_in(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except OSError as error:
        raise CommandFailed((f"{file}: {error.strerror}",)) from None
    except ValueError as error:
        raise CommandFailed((f"{file}: {error}",)) from None


def _hooks(plan: Plan, files: Files) -> tuple[Hook, ...]:
    if plan.site is None:
        raise CommandFailed(("--hooks is for a site: an office calls nobody",), USAGE)
    return hooks(program(), str(files.folder / CONFIG))


def _given(public: Sequence[str]) -> tuple[IPAddress, ...]:
    try:
        return tuple(map(ipaddress.ip_address, public))
    except ValueError as error:
        raise CommandFailed((f"--public: {error}",), USAGE) from None
