import json
import re
from pathlib import Path

import pytest

from tools.policy import HEADERS, host_files, policy

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_names_the_same_policy_as_the_headers():
    page = (ROOT / "index.html").read_text()
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert found
    assert found[1] == policy(as_header=False)


def test_no_text_becomes_program():
    assert "'unsafe-inline'" not in policy(as_header=True)
    assert "'unsafe-eval'" not in policy(as_header=True)
    assert "require-trusted-types-for 'script'" in policy(as_header=True)
    assert re.search(r"script-src 'self' 'wasm-unsafe-eval';", policy(as_header=True))


def test_the_page_has_no_inline_script_style_or_handler():
    page = (ROOT / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


@pytest.mark.parametrize("name", ["_headers", ".htaccess", "hosting/nginx.conf", "hosting/Caddyfile"])
def test_every_host_is_told_every_header(name):
    text = host_files()[name].decode()
    for header, value in HEADERS.items():
        assert header in text
        assert value in text


@pytest.mark.parametrize("name", ["vercel.json", "hosting/firebase.json"])
def test_hosts_that_read_json_are_told_every_header(name):
    rules = json.loads(host_files()[name])
    rules = rules.get("hosting", rules)["headers"]
    assert len(rules) == 1
    sent = {entry["key"]: entry["value"] for entry in rules[0]["headers"]}
    assert sent.items() >= HEADERS.items()
