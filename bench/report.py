"""Turn what the page measured into figures and a table."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


THREE_DIGITS_BELOW: Final = 10


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _sides(runs: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return each pipeline's median times, in milliseconds from the request."""
    sides = {}
    for side in ("reference", "engine"):
        done = [run[side] for run in runs if side in run]
        if done:
            sides[side] = {
                "first_box_ms": _median(one["first_box"] for one in done),
                "all_boxes_ms": _median(one["answers"][0]["end"] for one in done),
                "both_answers_ms": _median(one["answers"][-1]["end"] for one in done),
                "readbacks": _median(one["gpu"]["readbacks"] for one in done),
                "bytes_read": _median(one["gpu"]["bytes_read"] for one in done),
                "dispatches": _median(one["gpu"]["dispatches"] for one in done),
                "peak_gpu_bytes": max(one["gpu"]["peak_bytes"] for one in done),
                "gpu_bytes_left_by_last_run": done[-1]["gpu"]["bytes_more"],
                "tokens": _median(sum(len(answer["ids"]) for answer in one["answers"]) for one in done),
            }
    return sides


def _agreement(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare token ids; an answer that ended with its list is compared up to there."""
    same, differing = 0, []
    for run in runs:
        if "reference" not in run:
            continue
        for place, (ours, theirs) in enumerate(zip(run["engine"]["answers"], run["reference"]["answers"], strict=True)):
            said = theirs["ids"][: len(ours["ids"])] if ours["stopped"] == "list" else theirs["ids"]
            if ours["ids"] == said:
                same += 1
            else:
                differing.append(
                    {
                        "chip": run["chip"], "answer": place, "ours": ours["text"], "theirs": theirs["text"],
                        "least_margin": ours["least_margin"],
                    }
                )  # fmt: skip
    return {"same": same, "differing": differing}


def _steps_per_token(runs: list[dict[str, Any]], answer: int) -> float | None:
    answers = [run["engine"]["answers"][answer] for run in runs]
    tokens = sum(len(one["ids"]) for one in answers)
    return sum(len(one["steps"]) for one in answers) / tokens if tokens else None


def _pass(one: dict[str, Any], weights: int | None, bandwidth: float | None) -> dict[str, Any]:
    runs = one["runs"]
    sides = _sides(runs)
    steps = [ms for run in runs for answer in run["engine"]["answers"] for ms in answer["steps"][1:]]
    least_ms = _ratio(None if weights is None else 1000.0 * weights, bandwidth)
    step_ms = _median(steps)
    count = sum(len(answer["steps"]) for run in runs for answer in run["engine"]["answers"])
    reference, engine = sides.get("reference", {}), sides.get("engine", {})
    return {
        "name": one["name"],
        "chips": len({run["chip"] for run in runs}),
        "runs": len(runs),
        "loaded": one["loaded"],
        **sides,
        **{
            f"ratio_{what}": _ratio(reference.get(f"{what}_ms"), engine.get(f"{what}_ms"))
            for what in ("first_box", "all_boxes", "both_answers")
        },
        "steps_per_token_boxes": _steps_per_token(runs, 0),
        "steps_per_token_prose": _steps_per_token(runs, 1),
        "step_ms": step_ms,
        "bandwidth_limit_ms": least_ms,
        "step_over_limit": _ratio(step_ms, least_ms),
        "readbacks_per_step": _ratio(float(sum(run["engine"]["gpu"]["readbacks"] for run in runs)), count),
        "bytes_read_per_step": _ratio(float(sum(run["engine"]["gpu"]["bytes_read"] for run in runs)), count),
        "stages_ms": {
            stage: _median(run["engine"]["stages"][stage] for run in runs)
            for stage in ("preprocess", "vision", "prefix")
        },
        "prefill_ms": [_median(run["engine"]["answers"][place]["steps"][0] for run in runs) for place in (0, 1)],
        "agreement": _agreement(runs),
        "memory_bytes": one["memory"],
        "raw": [_lean(run) for run in runs],
    }


def _together(one: dict[str, Any]) -> dict[str, Any]:
    """Compare chips that were answered at once with the same chips one after the other."""
    apart = [sum(each["ms"] for each in run["apart"]) for run in one["runs"]]
    together = [run["together"]["ms"] for run in one["runs"]]
    same, all_answers = 0, 0
    for run in one["runs"]:
        for chip, each in enumerate(run["apart"]):
            at_once = [answer["ids"] for answer in run["together"]["answers"] if answer["chip"] == chip]
            all_answers += len(at_once)
            same += sum(ours == theirs["ids"] for ours, theirs in zip(at_once, each["answers"], strict=True))
    ratios = [_ratio(one_by_one, at_once) for one_by_one, at_once in zip(apart, together, strict=True)]
    steps = [sum(len(answer["steps"]) for each in run["apart"] for answer in each["answers"]) for run in one["runs"]]
    shared = [sum(_longest(run["together"]["answers"])) for run in one["runs"]]
    return {
        "name": one["name"],
        "together": one["together"],
        "runs": len(one["runs"]),
        "loaded": one["loaded"],
        "apart_ms": _median(apart),
        "together_ms": _median(together),
        "times_faster": _median(ratios),
        "least_times_faster": min(filter(None, ratios), default=None),
        "most_times_faster": max(filter(None, ratios), default=None),
        "steps_apart": _median(steps),
        "steps_together": _median(shared),
        "stages_ms": {
            way: {
                stage: _median(sum(each["stages"][stage] for each in several) for several in given)
                for stage in ("preprocess", "vision", "prefix")
            }
            for way, given in (
                ("apart", [run["apart"] for run in one["runs"]]),
                ("together", [[run["together"]] for run in one["runs"]]),
            )
        },
        "answers_same": same,
        "answers": all_answers,
    }


def _warm_up(one: dict[str, Any]) -> dict[str, Any]:
    """Compare the first answers of fresh engines that had and had not run before."""
    ways = {
        name: [run for run in one["runs"] if run["warmed"] is warmed]
        for name, warmed in (("cold", False), ("warmed", True))
    }
    return {
        "name": one["name"],
        "warm_up": True,
        "rounds": len(ways["warmed"]),
        **{
            name: {
                "load_ms": _median(run["load_ms"] for run in runs),
                "warm_up_ms": _median(run["warm_up_ms"] for run in runs),
                "first_ms": _median(run["first"]["ms"] for run in runs),
                "second_ms": _median(run["second"]["ms"] for run in runs),
                "first_over_second": _median(_ratio(run["first"]["ms"], run["second"]["ms"]) for run in runs),
            }
            for name, runs in ways.items()
        },
        "raw": one["runs"],
    }


def _engines(one: dict[str, Any]) -> dict[str, Any]:
    """Compare engines that answered the same chips in turn; the ratio is that of the second to the first."""
    first, second = one["engines"]
    return {
        "name": one["name"],
        "engines": one["engines"],
        "runs": len(one["runs"]),
        "ms": {name: _median(run["ms"][name] for run in one["runs"]) for name in (first, second)},
        "ratio": _median(_ratio(run["ms"][second], run["ms"][first]) for run in one["runs"]),
    }


def _longest(answers: list[dict[str, Any]]) -> list[int]:
    """Return the steps of each prompt: as many as its longest answer took."""
    chips = 1 + max(answer["chip"] for answer in answers)
    return [
        max(len(answer["steps"]) for answer in answers[start : start + chips])
        for start in range(0, len(answers), chips)
    ]


def _lean(run: dict[str, Any]) -> dict[str, Any]:
    """Keep a run's figures and leave its token ids out."""
    lean: dict[str, Any] = {"chip": run["chip"], "round": run["round"]}
    for side in ("reference", "engine"):
        if side in run:
            answers = [
                {"end": a["end"], "tokens": len(a["ids"]), "text": a["text"], "steps": a.get("steps")}
                for a in run[side]["answers"]
            ]
            lean[side] = {**run[side], "answers": answers}
    return lean


def decoder_bytes(folder: Path, dtype: str) -> int | None:
    """Return the bytes of the decoder's weights, which each step has to read once."""
    suffix = {"fp32": "", "fp16": "_fp16"}[dtype]
    files = [folder / "onnx" / f"decoder_model_merged{suffix}.onnx{end}" for end in ("", "_data")]
    sizes = [file.stat().st_size for file in files if file.exists()]
    return sum(sizes) if sizes else None


def summary(raw: dict[str, Any], folders: Mapping[str, Path]) -> dict[str, Any]:
    """Return the results' file: the figures of the last interleaved pass on top, then every pass."""
    adapter = raw.get("adapter") or {}
    bandwidth = (adapter.get("bandwidth") or {}).get("bytes_per_second")
    figures = []
    for one in raw["passes"]:
        if "together" in one:
            figures.append(_together(one))
            continue
        if "engines" in one:
            figures.append(_engines(one))
            continue
        if "steps" in one:
            figures.append(one)
            continue
        if "warm_up" in one:
            figures.append(_warm_up(one))
            continue
        twin = one["name"].startswith("twin")
        dtype = "fp16" if twin or one["name"].endswith("fp16") else "fp32"
        figures.append(_pass(one, decoder_bytes(folders["twin" if twin else "demo"], dtype), bandwidth))
    compared = [one for one in figures if "reference" in one and not one["name"].startswith("tokens")]
    leading = compared[-1] if compared else {}
    return {
        "adapter": adapter.get("adapter"),
        "model": leading.get("name"),
        **{
            key: leading.get(key)
            for key in (
                "ratio_first_box",
                "ratio_all_boxes",
                "ratio_both_answers",
                "steps_per_token_boxes",
                "steps_per_token_prose",
            )
        },
        "browser": adapter.get("agent"),
        "bandwidth_bytes_per_second": bandwidth,
        "passes": figures,
        "failures": raw["failures"],
    }


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and value < THREE_DIGITS_BELOW else f"{value:.0f}"  # type: ignore[str-format]


def table(result: dict[str, Any]) -> str:
    """Return the medians as text, one line for each pipeline of each pass."""
    head = (
        "pass",
        "pipeline",
        "first box",
        "all boxes",
        "both",
        "readbacks",
        "bytes read",
        "dispatches",
        "steps/token",
    )
    rows = [head]
    for one in result["passes"]:
        if "together" in one:
            times = (_cell(one[key]) for key in ("apart_ms", "together_ms", "times_faster"))
            steps = f"{_cell(one['steps_apart'])} and {_cell(one['steps_together'])} steps"
            rows.append((one["name"], "apart, together", *times, f"{one['answers_same']} same", steps, "", ""))
        if "engines" in one:
            times = (_cell(value) for value in (*one["ms"].values(), one["ratio"]))
            rows.append((one["name"], f"{', '.join(one['ms'])}, ratio", *times, "", "", "", ""))
        for step in one.get("steps", ()):
            name = f"{step['length']} tokens: look-up, step, issued"
            times = (_cell(float(step[key])) for key in ("embed_ms", "step_ms", "issued_ms"))
            rows.append((one["name"], name, *times, "", "", _cell(step["dispatches"]), ""))
        for way in ("cold", "warmed"):
            if way in one:
                times = (_cell(one[way][key]) for key in ("warm_up_ms", "first_ms", "second_ms"))
                rows.append((one["name"], f"{way}: before, 1st, 2nd", *times, "", "", "", ""))
        for side in ("reference", "engine"):
            if side in one:
                ours = side == "engine"
                figures = one[side]
                rows.append(
                    (
                        one["name"], side,
                        *(_cell(figures[f"{key}_ms"]) for key in ("first_box", "all_boxes", "both_answers")),
                        *(_cell(figures[key]) for key in ("readbacks", "bytes_read", "dispatches")),
                        " ".join(_cell(one[f"steps_per_token_{what}"] if ours else 1.0) for what in ("boxes", "prose")),
                    )
                )  # fmt: skip
        if "reference" in one:
            ratios = [_cell(one[f"ratio_{what}"]) for what in ("first_box", "all_boxes", "both_answers")]
            same = one["agreement"]
            rows.append(("", "times faster", *ratios, "", "", "", f"{same['same']} same, {len(same['differing'])} not"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
