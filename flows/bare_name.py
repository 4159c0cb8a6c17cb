"""A Prefect plugin that completes `prefect deployment run train-web2code` to the two-part name that Prefect wants."""

from __future__ import annotations

import sys

from prefect.plugins import HookContext, SetupResult, register_hook

from web2code.plan import home_folder
from web2code.services import find_service

NAME = "train-web2code"


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Complete exactly that command line, and point it at the server that `web2code up` started."""
    sys.argv[:] = complete(sys.argv)
    server = find_service(home_folder(), "prefect")
    return SetupResult(env={"PREFECT_API_URL": f"{server.url}/api"}) if server else None


def complete(arguments: list[str]) -> list[str]:
    """The command line with the bare name in two parts; any other is returned as it is."""
    if arguments[1:4] != ["deployment", "run", NAME]:
        return arguments
    return [*arguments[:3], f"{NAME}/{NAME}", *arguments[4:]]
