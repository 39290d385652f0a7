"""Static files under names with a hash, cached for good; under their plain names as long as nobody collected them."""

from __future__ import annotations

from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """Pages work before `collectstatic` ran, too: whitenoise then serves the files from where they are."""

    manifest_strict = False
    support_js_module_import_aggregation = True  # a module that imports another names it with its hash, too

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        try:
            return str(super().hashed_name(name, content, filename))
        except ValueError:
            if content is not None:
                raise
            return name
