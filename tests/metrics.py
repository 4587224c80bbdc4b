"""Reads what the system's processes show to Prometheus."""

from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """The samples of an exposition, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def exposition(url: str, token: str = "") -> str:
    """What a process shows at its /metrics."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urlopen(Request(f"{url}/metrics", headers=headers), timeout=10) as answer:  # noqa: S310 - our own
        text: str = answer.read().decode()
    return text


def value(found: Samples, name: str, **labels: str) -> float:
    """The value of one series; 0 where there is none yet."""
    return found.get((name, frozenset(labels.items())), 0.0)
