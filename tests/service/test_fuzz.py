"""Random requests get no answer that the OpenAPI document does not declare."""

import subprocess
import sys
from pathlib import Path

import httpx
from openapi_spec_validator import validate

from harness.bakery import Baker, environment
from harness.brokers import Brokers
from harness.cells import BACKEND
from harness.ports import free_port
from harness.server import AUTHORIZED, running

# Not that all valid requests are taken: JSON Schema knows less about addresses and amounts than we.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)


@BACKEND
def test_fuzz(backend: str, installed: Baker, brokers: Brokers, tmp_path: Path) -> None:
    """Schemathesis, with the sandbox for PostStack, finds no fault in a running service."""
    project = installed(backend)
    url = f"http://127.0.0.1:{free_port()}"
    settings = brokers(backend).settings() | {
        "FASTAPI_ENV": "development",
        "PORT": url.rpartition(":")[2],
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.sqlite3",
        "CLIENT_SIGNUPS_PER_MINUTE": "1000000",
        "RECIPIENT_SIGNUPS_PER_HOUR": "1000000",
    }
    with running(project, [".venv/bin/fastapi", "run"], f"{url}/healthz", **settings) as log:
        validate(httpx.get(f"{url}/openapi.json").json())
        result = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"),
                "run",
                f"{url}/openapi.json",
                f"--checks={','.join(CHECKS)}",
                f"--header=Authorization: {AUTHORIZED['Authorization']}",
                "--max-examples=50",
                "--seed=1",
                "--mode=all",
            ],
            cwd=tmp_path,
            env=environment(SCHEMATHESIS_HOOKS=str(Path(__file__).with_name("fuzz_hooks.py"))),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + log.read_text()[-5000:]
        assert "Traceback" not in log.read_text()
