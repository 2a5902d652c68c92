"""Zip archives of corpora, whose members are read as streams."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from nmt.errors import UserError, require

MEMBERS = 100_000  # the most that an archive may have; a corpus has a few
# Exceptions of zipfile for archives that are damaged or of an unsupported kind.
BAD_ZIP = (
    *(EOFError, OSError, ValueError, zlib.error, zipfile.BadZipFile),
    *(NotImplementedError, RuntimeError, KeyError, IndexError, OverflowError),
)
BESIDE = ("readme", "license", "licence", "copying", "copyright")
NO_TEXT = (".xml", ".ids", ".md", ".html", ".pdf", ".dtd", ".xsd", ".scores")


class Member(NamedTuple):
    """A file in a zip archive."""

    archive: Path
    path: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    def __str__(self) -> str:
        return f"{self.archive}: {self.path if self.path.isprintable() else ascii(self.path)}"


def members(archive: Path) -> list[Member]:
    """The files in a zip archive, without those that describe the others, such as a README."""
    with open_zip(archive) as zipped:
        names = [info.filename for info in zipped.infolist() if not info.is_dir()]
    require(len(names) <= MEMBERS, f"{archive} holds {len(names):,} files, too many for a corpus")
    found = [Member(archive, name) for name in names]
    return [member for member in found if not describes(member)]


def describes(member: Member) -> bool:
    name = member.name.lower()
    hidden = name.startswith(".") or member.path.startswith("__MACOSX/")
    return hidden or name.startswith(BESIDE) or PurePosixPath(name).suffix in NO_TEXT


def open_zip(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {archive}") from error
    except BAD_ZIP as error:
        raise UserError(
            f"{archive} is damaged, cut off or not a .zip file; get it again"
        ) from error


def open_member(member: Member) -> IO[bytes]:
    """Opens a stored or deflated member. Other methods take as much memory as the archive says."""
    with open_zip(member.archive) as zipped:
        try:
            info = zipped.getinfo(member.path)
            locked = bool(info.flag_bits & 1)
            usual = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            require(not locked, f"{member} is protected by a password: unpack it first")
            require(usual, f"{member} is packed in an unusual way: unpack it first")
            return zipped.open(info)
        except BAD_ZIP as error:
            raise UserError(
                f"{member.archive} is damaged, cut off or not a .zip file; get it again"
            ) from error
