"""Run the lifecycle in this process: `python -m flows '{"recipe": "tiny"}'`."""

from __future__ import annotations

import json
import os
import sys
import traceback

from web2code.plan import home_folder, make_plan
from web2code.services import find_service, prefect_environment


def main(parameters: dict) -> int:
    """Run the flow against the server of `web2code up`, or one of its own; returns the exit status."""
    try:
        home = home_folder()
        make_plan(**parameters)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    os.environ.update(prefect_environment(home))
    if server := find_service(home, "prefect"):
        os.environ["PREFECT_API_URL"] = f"{server.url}/api"
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    # Of its own server, which takes ten seconds to start, and on a busy machine many times that.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    # Prefect reads its settings when it is imported.
    from flows.train_web2code import train_web2code

    try:
        train_web2code(**parameters)
        return 0
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except Exception as error:
        log = home / "error.log"
        log.write_text(traceback.format_exc())
        print(f"error: {error} [details: {log}]", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
