"""A certificate that is renewed on disk, as the programs that renew one do it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.net.authority import Authority, Issued, Wish, self_made
from tests.net.test_tls_layers import shake

from restante.net.renewal import Renewed, ServerFiles
from restante.net.stream import PeerCertificate
from restante.net.tls import CertificateError, Pair, client_context

OLD, NEW = self_made(Wish(("office.example",))), self_made(Wish(("office.example",)))


class Host:
    """A host whose files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.pair = OLD.write(folder, "office")
        self.notes: list[str] = []
        self.renewed = Renewed(ServerFiles(self.pair.certificate, self.pair.key), self.notes.append)

    def shows(self) -> Issued | None:
        """Which of the two a client is shown now."""
        _, session = shake(self.renewed.context().layer(), client_context().layer("office.example"))
        assert session.peer is not None
        return {OLD.fingerprint: OLD, NEW.fingerprint: NEW}.get(session.peer.fingerprint)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """With the old pair."""
    return Host(tmp_path)


def new_files(folder: Path) -> Pair:
    """The new pair, beside the old."""
    (folder / "new").mkdir()
    return NEW.write(folder / "new", "office")


def test_what_does_not_change_is_loaded_once(host: Host) -> None:
    """And nothing is said of it."""
    assert host.shows() is OLD
    assert host.renewed.context() is host.renewed.context()
    assert host.notes == []


def test_a_pair_that_is_replaced_is_in_force_at_the_next_handshake(host: Host, tmp_path: Path) -> None:
    """File by file, by renaming; between the two the old pair is in force, and it is said why."""
    new = new_files(tmp_path)
    new.key.replace(host.pair.key)
    assert host.shows() is OLD
    assert host.shows() is OLD
    [note] = host.notes
    assert "the one before stays in force" in note
    assert "the key is not the certificate's" in note
    new.certificate.replace(host.pair.certificate)
    assert host.shows() is NEW
    assert host.notes[1:] == [f"the certificate has changed: {host.pair.certificate} is in force now"]


@pytest.mark.parametrize("how", ["empty", "half", "absent", "garbage"])
def test_a_pair_that_is_half_there_changes_nothing(host: Host, how: str, tmp_path: Path) -> None:
    """Until the rest has come."""
    new = new_files(tmp_path)
    host.pair.key.write_bytes(new.key.read_bytes())
    written = new.certificate.read_bytes()
    match how:
        case "absent":
            host.pair.certificate.unlink()
        case _:
            part = {"empty": b"", "half": written[: len(written) // 2], "garbage": b"\0" * 900}[how]
            host.pair.certificate.write_bytes(part)
    assert host.shows() is OLD
    [note] = host.notes
    assert str(host.pair.certificate) in note
    host.pair.certificate.write_bytes(written)
    assert host.shows() is NEW


def test_a_chain_of_links_is_followed(tmp_path: Path) -> None:
    """As certbot's `live` folder has them: a link that points elsewhere is a renewal."""
    for number, issued in enumerate((OLD, NEW)):
        (tmp_path / f"{number}").mkdir()
        issued.write(tmp_path / f"{number}", "office")
    live = tmp_path / "live"
    live.symlink_to("0")
    renewed = Renewed(ServerFiles(live / "office.pem", live / "office.key"), lambda _: None)
    before = renewed.context()
    live.unlink()
    live.symlink_to("1")
    assert renewed.context() is not before


def test_new_authorities_vouch_from_then_on(tmp_path: Path) -> None:
    """`client_ca` is looked at, too."""
    office, ours, theirs = OLD.write(tmp_path, "office"), Authority(), Authority()
    ca = ours.own.write(tmp_path, "client-ca").certificate
    renewed = Renewed(ServerFiles(office.certificate, office.key, ca), lambda _: None)
    site = theirs.issue()
    own = client_context(own=site.write(tmp_path, "site"))
    for trusted in (False, True):
        session, _ = shake(renewed.context().layer(), own.layer("office.example"))
        names = ("site.example",) if trusted else ()
        assert session.peer == PeerCertificate(site.fingerprint, names, trusted)
        theirs.own.write(tmp_path, "client-ca")


@pytest.mark.parametrize("absent", ["certificate", "key", "client_ca"])
def test_without_its_files_a_server_does_not_begin(absent: str, tmp_path: Path) -> None:
    """The error names the file."""
    office = OLD.write(tmp_path, "office")
    files = {"certificate": office.certificate, "key": office.key, "client_ca": None}
    files[absent] = tmp_path / "no-such-file.pem"
    assert files["certificate"] is not None
    assert files["key"] is not None
    with pytest.raises(CertificateError, match=r"no-such-file\.pem: No such file"):
        Renewed(ServerFiles(files["certificate"], files["key"], files["client_ca"]), lambda _: None)
