"""Pages that lie elsewhere in the repository, and equations.

Links in pages are written as GitHub needs them. Here CONTRIBUTING.md, config/README.md, each method's README and the committed
tables become pages, other files of the repository that are linked to are copied, and links to folders become plain text.
`$...$` and `$$...$$` become MathML, which browsers draw without a script.
"""

import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"CONTRIBUTING.md": "contributing.md", "config/README.md": "configuration.md", "profiles/README.md": "profiles.md"}
PAGES |= {
    f"baselines/{path.parent.name}/README.md": f"methods/{path.parent.name}.md" for path in ROOT.glob("baselines/*/README.md")
}
PAGES |= {str(path.relative_to(ROOT)): str(path.relative_to(ROOT)) for path in ROOT.glob("reports/study/*.md")}
SOURCES = {here: there for there, here in PAGES.items()}
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
BLOCK, INLINE = re.compile(r"\$\$(.+?)\$\$", re.DOTALL), re.compile(r"\$([^$\n]+)\$")


def on_files(files, config):
    """Adds the pages that lie outside docs/."""
    for there, here in PAGES.items():
        files.append(File.generated(config, here, abs_src_path=str(ROOT / there)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns links to files of the repository into links within the site, and equations into MathML; code is left alone."""
    here = page.file.src_uri
    folder = (ROOT / SOURCES.get(here, f"docs/{here}")).parent

    def turned(match):
        picture, words, target, anchor = match.groups()
        found = (folder / target).resolve()
        if not found.exists():
            return match[0]  # which the build warns about
        if found.is_dir():
            return words
        name = str(found.relative_to(ROOT))
        name = PAGES.get(name, name.removeprefix("docs/"))
        if name not in files.src_uris:
            files.append(File.generated(config, name, abs_src_path=str(found)))
        return f"{picture}[{words}]({'../' * here.count('/')}{name}{anchor or ''})"

    parts = CODE.split(LINK.sub(turned, markdown))
    for place in range(0, len(parts), 2):
        text = BLOCK.sub(lambda match: convert(match[1].strip(), display="block"), parts[place])
        parts[place] = INLINE.sub(lambda match: convert(match[1]), text)
    return "".join(parts)
