"""Configuration of the documentation."""

from importlib.metadata import version as installed

project = "rct"
author = "The rct contributors"
project_copyright = "2026, the rct contributors"
release = version = installed("rct-toolkit")

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autosummary_generate = False
autodoc_typehints = "signature"

html_theme = "pydata_sphinx_theme"
html_title = f"rct {release}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
