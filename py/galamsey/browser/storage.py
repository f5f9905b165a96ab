"""Show transfers of model files and what is kept of them, and hand on what the person does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galamsey.browser.page import clone, element, fill, listen, on_click, on_click_within, part, set_text, show, write
from galamsey.storage import Step
from galamsey.wording_storage import job_detail, job_line, job_short, storage_summary, stored_detail

if TYPE_CHECKING:
    from galamsey.browser.handlers import Handlers
    from galamsey.storage import Job, StorageState, Stored, StoredModel


class StoragePanel:
    """The part of the model dialog that is about files."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._shown: StorageState | None = None
        on_click("job-pause", handlers.pause_job)
        on_click("job-resume", handlers.resume_job)
        on_click("job-cancel", handlers.cancel_job)
        on_click("disk-folder", lambda: handlers.load_from_disk("folder"))
        on_click("disk-archive", lambda: handlers.load_from_disk("archive"))
        on_click_within("stored", "[data-action]", self._acted)
        listen(element("source-form"), "submit", self._source_chosen)

    def render(self, state: StorageState) -> None:
        """Show a state. Showing it twice changes nothing."""
        if state == self._shown:
            return
        before, self._shown = self._shown, state
        self._show_job(state.job)
        if before is None or state.stored != before.stored:
            self._show_stored(state.stored)
        if before is None or state.source != before.source:
            element("source-address").value = state.source.address
            element("source-revision").value = state.source.revision
        write("storage-message", state.message)
        if state.message and (before is None or state.message != before.message):
            element("storage-message").scrollIntoView(block="nearest")

    def _show_job(self, job: Job | None) -> None:
        show("job", shown=job is not None)
        show("model-job", shown=job is not None and job.step is not Step.DONE)
        if job is None:
            return
        write("job-line", job_line(job))
        write("job-detail", job_detail(job))
        write("model-job", job_short(job))
        element("job").dataset.step = job.step.name.lower()
        bar = element("job-progress")
        bar.hidden = job.step in (Step.DONE, Step.FAILED)
        if job.total_bytes:
            bar.value = job.loaded_bytes / job.total_bytes
        else:
            bar.removeAttribute("value")
        show("job-pause", shown=job.resumable and job.step.under_way)
        show("job-resume", shown=job.resumable and job.step in (Step.PAUSED, Step.FAILED))
        write("job-cancel-word", "Close" if job.step is Step.DONE else "Cancel")

    def _show_stored(self, stored: Stored | None) -> None:
        fill("stored", [_stored_row(one) for one in (stored.models if stored else ())])
        show("stored-none", shown=stored is not None and not stored.models)
        write("storage-summary", storage_summary(stored) if stored else "")

    def _acted(self, button: Any) -> None:  # noqa: ANN401 - a DOM element
        base_url = str(button.closest("li").dataset.url)
        match str(button.dataset.action):
            case "verify":
                self._handlers.verify_stored(base_url)
            case "export":
                self._handlers.export_stored(base_url)
            case "remove":
                self._handlers.remove_stored(base_url)

    def _source_chosen(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        event.preventDefault()
        self._handlers.set_source(str(element("source-address").value), str(element("source-revision").value))


def _stored_row(one: StoredModel) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("stored-row")
    row.dataset.url = one.base_url
    set_text(part(row, "name"), one.name)
    set_text(part(row, "detail"), stored_detail(one))
    if not one.complete:
        for action in ("verify", "export"):
            row.querySelector(f"[data-action={action}]").hidden = True
    return row
