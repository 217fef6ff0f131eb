"""What a change of code is, and what made a number."""

import subprocess

import pytest

from semflow import provenance


def forget() -> None:
    for remembered in (provenance._tree, provenance._written, provenance._imports, provenance.code_hash):
        remembered.cache_clear()


def test_code_hash_follows_imports_but_not_comments_and_docstrings(tmp_path, monkeypatch):
    package = tmp_path / "semflow"
    package.mkdir()
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))

    def hash_of(text: str, helper: str = "X = 1") -> str:
        (package / "top.py").write_text(text)
        (package / "helper.py").write_text(helper)
        forget()
        return provenance.code_hash(("semflow.top",))

    base = hash_of("from semflow.helper import X\n")
    assert hash_of('"""Docs."""\nfrom semflow.helper import X  # why\n') == base
    assert hash_of("from semflow.helper import X\nY = 2\n") != base
    assert hash_of("from semflow.helper import X\n", helper="X = 2") != base
    forget()


def test_every_module_left_out_of_the_hashes_exists():
    for name in provenance.PLUMBING:
        assert provenance._source(name).exists(), name


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://example.org/group/name.git", "https://example.org/group/name/tree/c0ffee"),
        ("https://someone:secret@example.org/group/name", "https://example.org/group/name/tree/c0ffee"),
        ("git@example.org:group/name.git", "https://example.org/group/name/tree/c0ffee"),
        ("ssh://git@example.org:2222/group/name", "https://example.org/group/name/tree/c0ffee"),
        ("/somewhere/on/a/disk", ""),
        (None, ""),
    ],
)
def test_a_commit_has_an_address_where_the_origin_has_one_and_no_secret_is_in_it(tmp_path, monkeypatch, origin, address):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "semflow/provenance.py"))
    (tmp_path / "semflow").mkdir()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    if origin:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", origin], check=True)
    assert provenance.repository("c0ffee") == address
