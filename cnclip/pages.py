"""The frame of every report page: one HTML file that fetches nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib


def html_document(title: str, style: str, body: str) -> str:
    """A whole page. The content policy admits its one style sheet and pictures inside the file, nothing else.

    Args:
        title: escaped text.
        style: the style sheet.
        body: escaped HTML.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
