import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from galamsey.detections import parse_answer
from galamsey.errors import FindingError
from galamsey.findings import finding_of, pixels_of
from galamsey.reviews import Review
from galamsey.training import is_settled, write_training
from tests.unit.test_findings import FINDING, KEPT, PIXELS, run_of


def reviewed(*decisions, finding=FINDING):
    reviews = [
        Review(id=f"r{k}", at=KEPT, reviewer="Ama", site=k, decision=decision)
        for k, decision in enumerate(decisions, start=1)
    ]
    return replace(finding, reviews=tuple(reviews))


def archive_of(*findings):
    return zipfile.ZipFile(io.BytesIO(write_training([(one, PIXELS) for one in findings])))


def test_only_what_people_agree_on_can_teach():
    clean = finding_of(run_of("[]"), "c" * 32, KEPT)

    assert is_settled(reviewed("confirm", "reject"))
    assert not is_settled(reviewed("confirm"))
    assert not is_settled(clean)
    with pytest.raises(FindingError, match="confirm or reject"):
        write_training([(FINDING, PIXELS), (clean, pixels_of(run_of("[]")))])


def test_coco_holds_the_confirmed_boxes_in_pixels():
    archive = archive_of(reviewed("confirm", "reject"))
    coco = json.loads(archive.read("annotations.json"))

    (one,) = coco["annotations"]
    assert one["bbox"] == [32, 16, 64, 48]
    assert one["image_id"] == coco["images"][0]["id"]
    assert all(32 <= x <= 96 for ring in one["segmentation"] for x in ring[::2])
    assert all(16 <= y <= 64 for ring in one["segmentation"] for y in ring[1::2])
    assert {coco["images"][0]["file_name"], coco["images"][0]["mask_file_name"]} <= set(archive.namelist())


def test_a_conversation_is_what_the_model_was_asked_and_should_have_said():
    archive = archive_of(reviewed("confirm", "reject"), replace(reviewed("reject", "reject"), id="e" * 32))
    first, second = (json.loads(line) for line in archive.read("conversations.jsonl").decode().splitlines())
    asked, answered = first["messages"]

    assert [part["type"] for part in asked["content"]] == ["image", "image", "text"]
    assert asked["content"][2]["text"] == FINDING.run["prompts"]["boxes"]
    assert [d.box for d in parse_answer(answered["content"][0]["text"]).detections] == [(0.25, 0.125, 0.75, 0.5)]
    assert second["messages"][1]["content"][0]["text"] == "[]"


def test_the_mask_lies_inside_confirmed_boxes_and_pictures_are_those_of_the_model():
    archive = archive_of(reviewed("confirm", "reject"))
    pictures = {name.rpartition("-")[2]: np.asarray(Image.open(io.BytesIO(archive.read(name))))
                for name in archive.namelist() if name.endswith(".png")}  # fmt: skip

    np.testing.assert_array_equal(pictures["rgb.png"], run_of().composed.rgb.pixels)
    mask = pictures["mask.png"]
    assert set(np.unique(mask)) <= {0, 255}
    assert mask[16:64, 32:96].sum() == mask.sum() > 0


def test_the_boxes_of_people_are_the_truth():
    wider, missed = (0.25, 0.125, 0.75, 0.625), (0.0, 0.5, 0.25, 1.0)
    redrew = Review(id="d1", at="2025-08-01", reviewer="Ama", site=1, decision="redraw", box=wider)
    added = Review(id="d2", at="2025-08-01", reviewer="Ama", site=4321, decision="add", box=missed)
    finding = reviewed("confirm", "reject")
    archive = archive_of(replace(finding, reviews=(*finding.reviews, redrew, added)))
    coco = json.loads(archive.read("annotations.json"))
    line = json.loads(archive.read("conversations.jsonl"))
    mask = np.asarray(Image.open(io.BytesIO(archive.read(coco["images"][0]["mask_file_name"]))))

    assert [one["bbox"] for one in coco["annotations"]] == [[32, 16, 64, 64], [0, 64, 32, 64]]
    assert [d.box for d in parse_answer(line["messages"][1]["content"][0]["text"]).detections] == [wider, missed]
    assert sum(one["area"] for one in coco["annotations"]) == (mask > 0).sum()
    clean = finding_of(run_of("[]"), "c" * 32, KEPT)
    assert is_settled(replace(clean, reviews=(added,)))
    assert not is_settled(replace(clean, reviews=(added, replace(added, id="d3", reviewer="Kofi", decision="reject"))))
