"""`python -m mlhub.authenticator`: who has which user name, and how an administrator frees one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlhub.authenticator.identity_book import IdentitiesUnavailable, IdentityBook
from mlhub.authenticator.plan import IDENTITIES
from mlhub.authenticator.secrets_kept import read_secret
from mlhub.core.errors import MlhubError
from mlhub.provider_settings import SecretReference

NO_SUCH_USER, UNAVAILABLE = 1, 3


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; prints what it found or did.

    Args:
        words: The command line; default: the process's own.

    Returns:
        The exit code: 0; 1 where nobody has the name; 3 where the identities cannot be read.
    """
    asked = _parser().parse_args(words)
    try:
        book = IdentityBook(_address(asked))
        try:
            return _release(book, asked.user) if asked.command == "release" else _list(book)
        finally:
            book.close()
    except (MlhubError, IdentitiesUnavailable) as error:
        print(f"The identities cannot be read: {error}", file=sys.stderr)
        return UNAVAILABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlhub.authenticator", description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--state-dir", type=Path, help="the hub's state directory")
    place.add_argument("--database-file", type=Path, help="a file that holds the database's URL")
    place.add_argument("--database-env", help="an environment variable that holds it")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="who has which user name")
    release = commands.add_parser("release", help="free a user name for whoever signs in next")
    release.add_argument("user")
    return parser


def _address(asked: argparse.Namespace) -> str:
    if asked.state_dir is None:
        reference = SecretReference(file=asked.database_file, env=asked.database_env)
        return read_secret(reference, "authentication.identity_database", shortest=1)
    path = asked.state_dir / IDENTITIES
    if not path.is_file():
        raise IdentitiesUnavailable(f"there is no {path}")
    return f"sqlite:///{path}"


def _list(book: IdentityBook) -> int:
    for binding in book.all():
        uid = "-" if binding.uid is None else str(binding.uid)
        print(binding.user, binding.identity.namespace, binding.identity.subject, uid, sep="\t")
    return 0


def _release(book: IdentityBook, user: str) -> int:
    if not book.release(user):
        print(f"Nobody has the user name '{user}'.", file=sys.stderr)
        return NO_SUCH_USER
    print(f"'{user}' is free: whoever signs in next by that name gets it, with what is its own.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
