"""`python -m penstock.router supervise`: what the router pod's helper container runs."""

import asyncio
import logging
import os
import signal
import sys

from penstock.router.agent import Agent
from penstock.router.errors import BadInputError, RouterError
from penstock.router.http import serve
from penstock.router.kubernetes_api import KubernetesApi
from penstock.router.kubernetes_source import KubernetesSource
from penstock.router.server import AgentServer
from penstock.router.settings import Settings, read_settings
from penstock.router.sources import FileSource, Source
from penstock.router.supervise import Supervisor, agent_command

EXIT_BAD_INPUT = 78
EXIT_RETRY = 75

log = logging.getLogger("penstock.router")


def main(arguments: list[str]) -> int:
    """Run the supervisor or the agent; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        settings = read_settings(os.environ)
        match arguments:
            case ["supervise"]:
                asyncio.run(Supervisor(settings, agent_command()).run())
                return 0
            case ["agent"]:
                return _agent(settings)
    except BadInputError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    print("usage: python -m penstock.router supervise|agent", file=sys.stderr)
    return EXIT_BAD_INPUT


def _agent(settings: Settings) -> int:
    """Raises BadInputError before anything runs."""
    source = _source(settings)
    status = 0
    try:
        asyncio.run(_run_agent(settings, source))
    except* RouterError as errors:
        log.error("The agent stops: %s", "; ".join(map(str, errors.exceptions)))
        status = EXIT_RETRY
    return status


async def _run_agent(settings: Settings, source: Source) -> None:
    agent = Agent(settings, source)
    server = await serve(AgentServer(agent, settings.token_file), settings.agent_bind, settings.agent_port)
    running = asyncio.create_task(agent.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return
    finally:
        server.close()
        await agent.admin.close()


def _source(settings: Settings) -> Source:
    """Raises BadInputError when nothing says where the table is."""
    if settings.table_file is not None:
        return FileSource(settings.table_file)
    for variable, text in (
        ("PENSTOCK_TABLE_CONFIG_MAP", settings.table_config_map),
        ("PENSTOCK_TABLE_NAMESPACE", settings.table_namespace),
        ("KUBERNETES_SERVICE_HOST", settings.api_host),
    ):
        if not text:
            raise BadInputError(variable, "must be set, or PENSTOCK_TABLE_FILE instead")
    api = KubernetesApi(settings.api_host, settings.api_port, settings.account_folder)
    return KubernetesSource(api, settings.table_namespace, settings.table_config_map)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
