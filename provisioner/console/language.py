"""In which language a page speaks: English in the code, Italian from `translations/it/*.po`.

The catalogues are compiled in memory at the first use, so that there is nothing to build.
"""

from functools import cache
from importlib.resources import files
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, g, session
from flask_babel import Babel, Domain, get_locale

LANGUAGES = {"it": "Italiano", "en": "English"}
DEFAULT = "it"
TIME_ZONE = "Europe/Rome"


class _Catalogues(Domain):  # type: ignore[misc] # Flask-Babel ships no type information
    """Flask-Babel's domain, read from our catalogues."""

    def get_translations(self) -> NullTranslations:
        """Return the texts of the language that the visitor has chosen."""
        return translations(chosen())


class _Babel(Babel):  # type: ignore[misc] # the same
    """Flask-Babel, with our domain."""

    domain_instance = _Catalogues()


def register(app: Flask) -> None:
    """Make an application speak the visitor's language."""
    _Babel().init_app(app, locale_selector=chosen, timezone_selector=lambda: TIME_ZONE)
    app.jinja_env.globals["locale"] = get_locale


def chosen() -> str:
    """Return the language that the visitor has chosen."""
    language = g.get("language") or session.get("language", DEFAULT)
    return language if language in LANGUAGES else DEFAULT


def choose(language: str) -> None:
    """Speak another language from now on; one that is not known changes nothing."""
    if language in LANGUAGES:
        session["language"] = g.language = language


def marked(text: str) -> str:
    """Mark a text that is translated where it is shown."""
    return text


@cache
def translations(language: str) -> NullTranslations:
    """Return the texts of a language; English ones are in the code."""
    if language == "en":
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return Translations(compiled)


def catalogue(language: str) -> Catalog:
    """Return all catalogues of a language as one."""
    whole = Catalog(locale=language)
    folder = files("provisioner.console") / "translations" / language
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        if path.name.endswith(".po"):
            with path.open("rb") as file:
                for message in read_po(file, locale=language):
                    if message.id:
                        whole[message.id] = message
    return whole
