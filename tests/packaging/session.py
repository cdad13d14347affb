"""A user's shell, for tests of built packages without the checkout."""

import os
import subprocess


class Session:
    """A user's shell: one venv, one project folder."""

    def __init__(self, folder):
        self.venv, self.project, self.wheels = folder / "venv", folder / "project", folder / "wheels"
        self.project.mkdir()
        self.lines = []
        # Keep this checkout, an active venv and the user's settings out of the session.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ONSTAGE_", "PYTHON", "VIRTUAL_ENV"))
        }
        # uv separates them by commas, pip by spaces.
        local = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "").replace(" ", ",")
        self.environment["UV_FIND_LINKS"] = local

    def uv(self, *args):
        return self._run(["uv", *map(str, args)], " ".join(["uv", *map(str, args)]), {})

    def install(self, *packages):
        here = ("--python", self.venv, "--find-links", self.wheels)
        return self.uv("pip", "install", "--quiet", *here, *packages)

    def __call__(self, program, *args, fails=False, **variables):
        """Run a program of the venv and return its output, both streams."""
        shown = " ".join([*(f"{name}={value}" for name, value in variables.items()), program, *args])
        return self._run([str(self.venv / "bin" / program), *args], shown, variables, fails)

    def _run(self, command, shown, variables, fails=False):
        done = subprocess.run(
            command,
            cwd=self.project,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines += [f"$ {shown}", done.stdout]
        assert bool(done.returncode) is fails, f"{shown} exited with {done.returncode}\n{done.stdout}"
        return done.stdout
