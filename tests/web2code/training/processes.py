"""Workers that are forked from a process which has imported what all of them need, and which trains nothing itself."""

import gc
import multiprocessing
import time
import traceback

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.web2code.training.workers"])


def start(work, *arguments):
    """Begin `work` in a process for each of the arguments; returns them, and where they tell what they raise."""
    errors = CONTEXT.SimpleQueue()
    processes = [CONTEXT.Process(target=_told, args=(errors, work, each), daemon=True) for each in arguments]
    for process in processes:
        process.start()
    return processes, errors


def run(work, *arguments):
    """Run `work` in a process for each of the arguments; what one of them raises ends all, and is raised here."""
    processes, errors = start(work, *arguments)
    while any(process.is_alive() for process in processes) and not any(process.exitcode for process in processes):
        time.sleep(0.05)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert not any(codes), (codes, "" if errors.empty() else errors.get())


def _told(errors, work, arguments):
    gc.freeze()  # DeepSpeed has garbage collected, and none of what was imported is
    try:
        work(*arguments)
    except Exception:
        errors.put(traceback.format_exc()[-5000:])
        raise SystemExit(1) from None
