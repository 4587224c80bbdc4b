"""QR codes (ISO 18004), drawn as SVG into a page."""

import segno
from markupsafe import Markup


def qr_code(text: str) -> Markup:
    """Draw a text; the sheet makes the picture as large as it should be."""
    code = segno.make(text, error="m", micro=False)
    drawn = code.svg_inline(border=4, dark="#000", light="#fff", svgclass="qr", omitsize=True)
    return Markup(drawn)  # noqa: S704 - segno's, of which no text is part
