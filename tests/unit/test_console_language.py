"""The console is complete in both languages: whatever it can say in English it says in Italian."""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from provisioner import console, errors
from provisioner.console import entrance, messages, navigation, people, shown
from provisioner.console.language import catalogue
from provisioner.hooks import addresses, endpoints, review, sources

CONSOLE = Path(console.__file__).parent
PACKAGE = CONSOLE.parent
ITALIAN = sorted((CONSOLE / "translations" / "it").glob("*.po"))
KEYWORDS = {"gettext": None, "_": None, "ngettext": (1, 2), "marked": None}
# Calls whose texts are rules of fields, by the argument that is the text.
RULES = {
    "Rule": (1,),
    "InvalidInput": (2,),
    "AddressRefused": (2,),
    "NotFound": (1,),
    "Sentence": (1,),
}
HOOKS = (addresses, endpoints, review, sources)
OF_PAGES = (  # whose errors a page may show
    "provisioner.errors",
    *(module.__name__ for module in (entrance, people, *HOOKS)),
)
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")


def extracted(path: Path, method: str, keywords: Mapping[str, tuple[int, ...] | None]) -> set[str]:
    found = extract(method, BytesIO(path.read_bytes()), keywords, options={"newstyle": "true"})
    return {
        text
        for _, message, _, _ in found
        for text in ([message] if isinstance(message, str) else message)
        if text
    }


def of_errors(kind: type[errors.ProvisionerError] = errors.ProvisionerError) -> Iterator[str]:
    """What the domain's errors say, where they say nothing more special."""
    for one in kind.__subclasses__():
        if one.__module__ in OF_PAGES and one is not errors.SettingInvalid:
            yield (one.__doc__ or "").strip()
        yield from of_errors(one)


def said() -> set[str]:
    """Everything that the console can say."""
    texts: set[str] = set(of_errors())
    for path in CONSOLE.rglob("*.html"):
        texts |= extracted(path, "jinja2", KEYWORDS)
    for path in CONSOLE.rglob("*.py"):
        texts |= extracted(path, "python", KEYWORDS)
    others = [PACKAGE / "api" / "bodies.py", *(Path(str(module.__file__)) for module in HOOKS)]
    for path in [*PACKAGE.glob("*.py"), *CONSOLE.glob("*.py"), *others]:
        texts |= extracted(path, "python", RULES)
    texts |= extracted(PACKAGE / "errors.py", "python", {"__init__": (2,)})
    texts |= {entry.title for entry in navigation.ENTRIES}
    texts |= set(shown.NAMES.values()) | set(messages.RULES.values()) | {messages.OTHER}
    return texts - {""}


def texts_of(text: object) -> list[str]:
    """One text, or those of singular and plural."""
    return [text] if isinstance(text, str) else list(text) if isinstance(text, list | tuple) else []


def translated() -> set[str]:
    return {
        text
        for message in catalogue("it")
        if message.id and all(texts_of(message.string)) and not message.fuzzy
        for text in texts_of(message.id)
    }


def test_every_text_has_an_italian_translation() -> None:
    assert len(said()) > 100
    assert sorted(said() - translated()) == []


def test_no_translation_is_left_over() -> None:
    assert sorted(translated() - said()) == []


@pytest.mark.parametrize("path", ITALIAN, ids=lambda path: path.name)
def test_a_translation_has_the_places_of_its_text(path: Path) -> None:
    for message in read_po(BytesIO(path.read_bytes())):
        wanted = set(PLACEHOLDER.findall(" ".join(texts_of(message.id))))
        for text in texts_of(message.string) if message.id else []:
            assert set(PLACEHOLDER.findall(text)) == wanted, text


def test_no_text_is_translated_twice() -> None:
    seen: dict[object, str] = {}
    for path in ITALIAN:
        for message in read_po(BytesIO(path.read_bytes())):
            if message.id:
                assert message.id not in seen, f"{message.id} in {path.name}, {seen[message.id]}"
                seen[message.id] = path.name
