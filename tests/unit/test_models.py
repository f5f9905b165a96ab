import hashlib
import subprocess

import pytest

from galamsey.errors import SourceError
from galamsey.models import DEMO, FULL, HUB, MAIN, MODELS, SESSIONS, Source, fingerprint, read_source


def test_loading_the_demo_model_reads_its_configuration_and_three_sessions():
    files = DEMO.files("fp32")

    assert [path for path in files if path.endswith(".onnx")] == [
        "onnx/vision_encoder.onnx", "onnx/embed_tokens.onnx", "onnx/decoder_model_merged.onnx",
    ]  # fmt: skip
    assert {"config.json", "tokenizer.json", "preprocessor_config.json"} <= set(files)
    assert not any("_data" in path for path in files)


def test_loading_the_full_model_reads_half_precision_graphs_with_weights_beside_them():
    files = FULL.files("fp16")

    for session in SESSIONS:
        assert {f"onnx/{session}_fp16.onnx", f"onnx/{session}_fp16.onnx_data"} <= set(files)
    assert len(files) == len(set(files))


def test_every_model_can_be_told_apart_and_says_what_must_be_known():
    assert len({model.key for model in MODELS}) == len(MODELS)
    for model in MODELS:
        assert model.honesty
        assert model.base_url.endswith("/")
        for dtype in model.dtypes:
            assert model.files(dtype)


def test_the_demo_model_is_called_practice_and_comes_with_the_page():
    assert "practice only" in DEMO.honesty
    assert "generated" in DEMO.honesty
    assert DEMO.download_mb == 0
    assert "://" not in DEMO.base_url


def test_the_full_model_s_size_and_published_recall_are_told():
    assert FULL.download_mb == pytest.approx(1000)
    assert "recall 0.592" in FULL.honesty
    assert "suspected" in FULL.honesty


def test_a_models_fingerprint_is_that_of_the_list_which_sha256sum_writes(tmp_path):
    names = ("config.json", "onnx/a.onnx")
    (tmp_path / "onnx").mkdir()
    for name in names:
        (tmp_path / name).write_text(name)
    listed = subprocess.run(["sha256sum", *names], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    files = [(line.split()[1], line.split()[0]) for line in listed.splitlines()]

    assert fingerprint(reversed(files)) == hashlib.sha256(listed.encode()).hexdigest()
    assert fingerprint(files[:1]) != fingerprint(files)


def test_chips_are_never_enlarged_and_models_do_not_share_a_mutable_processor():
    for model in MODELS:
        assert model.processor["do_resize"] is False
    assert DEMO.processor is not FULL.processor


@pytest.mark.parametrize(
    ("address", "revision", "source"),
    [
        ("", "", Source(address=HUB, revision=MAIN)),
        (" https://mirror.example.org/ ", "v1.2", Source(address="https://mirror.example.org", revision="v1.2")),
        ("https://a.example/models/v9", "", Source(address="https://a.example/models/v9/", revision=MAIN)),
        ("http://localhost:8000/m", "", Source(address="http://localhost:8000/m/", revision=MAIN)),
        ("http://127.0.0.1:9000", "", Source(address="http://127.0.0.1:9000", revision=MAIN)),
    ],
)
def test_a_source_is_a_hub_or_a_folder(address, revision, source):
    assert read_source(address, revision) == source


@pytest.mark.parametrize(
    ("address", "revision", "told"),
    [
        ("http://mirror.example.org", "", "an address with https, got 'http://mirror.example.org'"),
        ("HTTP://mirror.example.org/a/", "", "an address with https"),
        ("http://localhost.example.org", "", "an address with https"),
        ("ftp://mirror.example.org", "", "an address such as https"),
        ("mirror", "", "an address such as https"),
        ("https://", "", "an address such as https"),
        ("https://[broken", "", "an address such as https"),
        ("https://a.example/?token=1", "", "an address such as https"),
        ("", "../main", "a branch, tag or commit"),
        ("", "a b", "a branch, tag or commit"),
    ],
)
def test_a_source_that_the_page_may_not_ask_is_refused_with_the_reason(address, revision, told):
    with pytest.raises(SourceError, match=f"expected {told}"):
        read_source(address, revision)
