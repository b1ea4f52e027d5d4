"""Passwords that a text quotes, such as those of a database's URL, masked."""

import re
from urllib.parse import unquote

MASK = "***"
# user:secret@ of a URL: to the last @ of the word, or where the secret has spaces, to the first @ of the line
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/?#:@'\"]*):(?!\d{1,5}(?:[/\s?#'\"]|$))(?=\S)[^\n@]*@(?:\S*@)?")
_URL_TOKEN = re.compile(r"(?i)(?<=http://|ttps://)[^\s/?#:@'\"]+@")  # a token in the place of the user
_NAMED_SECRET = re.compile(
    r"(?i)(?<![\w.-])(?=[\w.-]*(?:passw(?:or)?d|passphrase|passwd|pwd|token|secret|api[_-]?key|access[_-]?key|"
    r"signature|credential|\b(?:pass|sig)=))([\w.-]+=)('[^'\n]*'|\"[^\"\n]*\"|[^&;,\s'\"]+)"
)  # tried once a word: a name of 5,000 letters takes no second


def mask_url_secrets(text: str, url: str = "") -> str:
    """Return `text` with every password, token and key of a URL in it replaced by ***.

    Masked are `scheme://user:secret@host`, a token in the place of the user of an http URL, and the values of names
    such as password=, token= and api_key=. The secret of `url`, where one is given, is masked wherever it stands.

    >>> mask_url_secrets("cannot open postgresql://me:s3cret@host/studies?sslpassword=also")
    'cannot open postgresql://me:***@host/studies?sslpassword=***'
    """
    for secret in _find_url_secrets(url):
        text = text.replace(secret, MASK)
    text = _URL_PASSWORD.sub(rf"\g<1>:{MASK}@", text)
    return _NAMED_SECRET.sub(rf"\g<1>{MASK}", _URL_TOKEN.sub(f"{MASK}@", text))


def _find_url_secrets(url: str) -> list[str]:
    """Return the secret of a URL as it is written and as drivers quote it, where it has 3 letters or more."""
    rest = url.partition("://")[2]
    written = rest.rpartition("@")[0].partition(":")[2]
    return [secret for secret in dict.fromkeys((written, unquote(written))) if len(secret) > 2]
